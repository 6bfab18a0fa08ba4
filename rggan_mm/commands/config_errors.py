"""Exceptions of libraries while a run is built, as one line that names the config's field."""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rggan_mm.errors import ConfigError, DivergedError

TRACEBACK = 'RGGAN_TRACEBACK'
# An exception of their code means a wrong config; one of a user's code is a mistake there.
_LIBRARIES = ('mmengine', 'mmagic', 'mmcv', 'rggan_mm')
# An exception of their code counts as one of the code that called them.
_BELOW = ('torch', 'torchvision', 'numpy')
# Which field of a config a function of MMEngine reads.
_STEPS = {
    'setup_env': 'env_cfg',
    'set_randomness': 'randomness',
    'build_log_processor': 'log_processor',
    'build_logger': 'log_level',
    'build_message_hub': 'experiment_name',
    'build_visualizer': 'visualizer',
    'build_model': 'model',
    'wrap_model': 'model_wrapper_cfg',
    'register_default_hooks': 'default_hooks',
    'register_custom_hooks': 'custom_hooks',
    'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg',
    'build_evaluator': 'val_evaluator',
    'build_optim_wrapper': 'optim_wrapper',
    'scale_lr': 'auto_scale_lr',
    'build_param_scheduler': 'param_scheduler',
    '_init_model_weights': 'model (initial weights)',
    'load_or_resume': 'load_from',
    '_maybe_compile': 'compile',
    'look': 'val_dataloader',  # of a metric, at its real images
    'try_first_images': 'val_dataloader',
    'run_iter': 'the first iteration',
}
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@contextmanager
def errors_of_config(
    config: Mapping[str, Any], over: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Turns what MMEngine, MMagic, PyTorch or this package raise for a wrong config into one line.

    An exception of a user's own code is a mistake there and passes as it is. With the
    environment variable RGGAN_TRACEBACK every exception does.

    Args:
        config: The config that a run is built from.
        over: Whether the run is past the point where the config can be at fault.

    Raises:
        ConfigError: In place of the exception, which is its cause.
    """
    try:
        yield
    except ConfigError as error:
        _raise_with_field(error, config)
    except (DivergedError, MemoryError):
        raise
    except Exception as error:
        if over() or os.environ.get(TRACEBACK):
            raise
        _raise_if_no_file(error)
        frames = list(traceback.walk_tb(error.__traceback__))
        if _at_fault(frames) not in _LIBRARIES:
            raise
        where = _field_of_call(error) or _where(frames, config)
        raise ConfigError(f'{where}: {one_line_of(error)} ({TRACEBACK}=1 shows where)') from error


def _raise_if_no_file(error: Exception) -> None:
    if isinstance(error, FileNotFoundError) and error.filename:
        missing = f'there is no {error.filename}; --dataroot names the images'
        raise ConfigError(missing) from error


def _raise_with_field(error: ConfigError, config: Mapping[str, Any]) -> None:
    """Puts a component's field in the config before the argument that it names."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code.co_name != 'build_from_cfg':
            continue
        field = _field_of(frame.f_locals.get('cfg'), config)
        if field and not str(error).startswith(field):
            raise ConfigError(f'{field}: {error}') from error
    raise error


def _at_fault(frames: list) -> str:
    """The package whose code raised the exception, or called what raised it."""
    packages = [frame.f_globals.get('__name__', '').partition('.')[0] for frame, _ in frames]
    above = [name for name in packages if not _is_low(name)]
    return above[-1] if above else ''


def _is_low(package: str) -> bool:
    return package in _BELOW or package in sys.stdlib_module_names


def _field_of_call(error: Exception) -> str | None:
    """The field of a function that refused an argument; it has no frame of its own."""
    called = re.match(r'(?:\w+\.)*(\w+)\(\) ', str(error))
    return _STEPS.get(called[1]) if called else None


def _where(frames: list, config: Mapping[str, Any]) -> str:
    """The innermost field of the config that was being built or used, or the hook that ran."""
    for frame, _ in reversed(frames):
        name, values = frame.f_code.co_name, frame.f_locals
        field = _STEPS.get(name)
        if name == 'build_from_cfg':
            field = _field_of(values.get('cfg'), config)
        elif name == 'build_dataloader':
            field = _loader_of(values.get('dataloader'), config)
        elif name == 'call_hook':
            field = type(values.get('hook')).__name__
        if field:
            return field
    return 'config'


def _field_of(part: Any, config: Mapping[str, Any]) -> str | None:
    """Field of a component; None for one that a class builds itself, such as a block."""
    if not isinstance(part, Mapping):
        return None
    found = [(field, value) for field, value in _walk(config) if 'type' in value]
    same = [field for field, value in found if value == part]
    # MMEngine may have changed the dict meanwhile.
    alike = [field for field, value in found if value['type'] == part.get('type')]
    return same[0] if same else alike[0] if len(alike) == 1 else None


def _loader_of(loader: Any, config: Mapping[str, Any]) -> str | None:
    return next((name for name in _LOADERS if config.get(name) == loader), None)


def _walk(node: Any, path: str = '') -> Iterator[tuple[str, Mapping]]:
    if hasattr(node, 'items'):
        if path:
            yield path, node
        children = node.items()
    else:
        children = enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in children:
        yield from _walk(value, f'{path}.{key}' if path else str(key))


def one_line_of(error: Exception) -> str:
    """Kind and message of an exception in one line; a bare assertion shows its condition."""
    message = ' '.join(str(error).split())
    if not message:
        message = traceback.extract_tb(error.__traceback__)[-1].line or 'no message'
    return f'{type(error).__name__}: {message[:400]}'
