"""Fields that are right one by one and wrong together."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from rggan_mm.errors import ConfigError

_TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)


def check_combinations(config: Mapping[str, Any]) -> None:
    """Refuses fields that contradict each other.

    Raises:
        ConfigError: The first contradiction.
    """
    for names in _TOGETHER:
        _check_together(config, names)
    for field, loader in _loaders(config):
        _check_loader(field, loader)
    _check_train_loop(config.get('train_cfg'))
    _check_optimizers(config.get('optim_wrapper'))
    _check_scope(config.get('default_scope'))


def _check_together(config: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if config.get(name) is None]
    if missing and len(missing) < len(names):
        raise ConfigError(
            f'{missing[0]} is missing: {", ".join(names)} belong together; set all of them or none'
        )


def _loaders(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping]]:
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        given = config.get(name)
        for loader in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(loader, Mapping):
                yield name, loader


def _check_loader(field: str, loader: Mapping) -> None:
    for name in ('dataset', 'sampler'):
        if name not in loader:
            raise ConfigError(f'{field}.{name} is missing: MMEngine builds a loader from it')
    if loader.get('num_workers', 0) > 0:
        return
    for name in ('persistent_workers', 'prefetch_factor', 'timeout'):
        if loader.get(name):
            raise ConfigError(
                f'{field}.{name}={loader[name]!r} needs num_workers of at least 1; it is '
                f'{loader.get("num_workers", 0)}'
            )


def _check_train_loop(loop: Any) -> None:
    if not isinstance(loop, Mapping):
        return
    if ('type' in loop) == ('by_epoch' in loop):
        raise ConfigError('train_cfg needs either type or by_epoch: the loop, or what it counts in')
    length = 'max_epochs' if loop.get('by_epoch') else 'max_iters'
    if 'by_epoch' in loop and length not in loop:
        raise ConfigError(f'train_cfg.{length} is missing: the length of the training')


def _check_optimizers(wrapper: Any) -> None:
    """One optimiser, or several under names with a constructor that knows them."""
    if not isinstance(wrapper, Mapping) or 'optimizer' in wrapper:
        return
    if 'constructor' not in wrapper:
        raise ConfigError(
            'optim_wrapper.constructor is missing: several optimizers need one, such as '
            "'MultiOptimWrapperConstructor'"
        )
    if wrapper['constructor'] != 'MultiOptimWrapperConstructor':
        return
    for name, part in wrapper.items():
        if name != 'constructor' and not (isinstance(part, Mapping) and 'optimizer' in part):
            raise ConfigError(f'optim_wrapper.{name} must be a dict with an optimizer')


def _check_scope(scope: Any) -> None:
    if scope and find_spec(scope.partition('.')[0]) is None:
        raise ConfigError(f'default_scope={scope!r}: there is no package of that name')
