"""What libraries raise while a run is built, as one line that names the config's part."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rggan_mm.errors import ConfigError, DivergedError

TRACEBACK = 'RGGAN_TRACEBACK'
# Whose exceptions say that a config is wrong; anybody else's are mistakes of code.
_LIBRARIES = ('mmengine', 'mmagic', 'mmcv')
_OWN = 'rggan_mm'
# Too general, or too low, to be at fault: whoever called them is.
_BELOW = ('torch', 'torchvision', 'numpy')
# What MMEngine does with a part of a config, by the name of the function.
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
    'try_first_images': 'val_dataloader',
    'run_iter': 'the first iteration',
}
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@contextmanager
def errors_of_config(
    config: Mapping[str, Any], over: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Makes one line of what MMEngine, MMagic or PyTorch say to a wrong config.

    An exception that was raised below this package's own functions, or below a user's, is
    a mistake in code and passes as it is. So does each one when the environment variable
    RGGAN_TRACEBACK is set.

    Args:
        config: The config that a run is built from.
        over: Whether the run is past the point where the config can be at fault.

    Raises:
        ConfigError: In place of what was raised, which is its cause.
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
        where = _where(frames, config)
        raise ConfigError(f'{where}: {one_line_of(error)} ({TRACEBACK}=1 shows where)') from error


def _raise_if_no_file(error: Exception) -> None:
    if isinstance(error, FileNotFoundError) and error.filename:
        missing = f'there is no {error.filename}; --dataroot names the images'
        raise ConfigError(missing) from error


def _raise_with_field(error: ConfigError, config: Mapping[str, Any]) -> None:
    """A component knows its argument, not where in the config it stands itself."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code.co_name != 'build_from_cfg':
            continue
        field = _field_of(frame.f_locals.get('cfg'), config)
        if field and not str(error).startswith(field):
            raise ConfigError(f'{field}: {error}') from error
    raise error


def _at_fault(frames: list) -> str:
    """The package in which the exception came up, those below it aside."""
    packages = [frame.f_globals.get('__name__', '').partition('.')[0] for frame, _ in frames]
    known = (*_LIBRARIES, _OWN)
    above = [name for name in packages if name in known or not _is_low(name)]
    return above[-1] if above else ''


def _is_low(package: str) -> bool:
    return package in _BELOW or package in sys.stdlib_module_names


def _where(frames: list, config: Mapping[str, Any]) -> str:
    """The config's part that was being built or used, the innermost one."""
    for frame, _ in reversed(frames):
        name, values = frame.f_code.co_name, frame.f_locals
        field = _STEPS.get(name)
        if name == 'build_from_cfg':
            field = _field_of(values.get('cfg'), config)
        elif name == 'build_dataloader':
            field = _loader_of(values.get('dataloader'), config)
        if field:
            return field
    return 'config'


def _field_of(part: Any, config: Mapping[str, Any]) -> str | None:
    """Name of a part in the config; None for one that a class adds, such as a block."""
    if not isinstance(part, Mapping):
        return None
    found = [(field, value) for field, value in _walk(config) if 'type' in value]
    same = [field for field, value in found if value == part]
    # What is built may have been completed or emptied meanwhile.
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
