"""The check of a whole config: its fields, then its components."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.registry import DefaultScope

from rggan_mm.close_names import close_name
from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import ungrouped

from .arguments import check_component
from .combinations import check_combinations
from .components import components
from .fields import FIELDS
from .loops import check_loops
from .rules import Rule, settings, texts

_NEEDED = ('model', 'work_dir')
_TOP_LEVEL = sorted({name.partition('.')[0] for name in FIELDS} | {'param_scheduler'})
# Configs hold variables of their own beside the fields: only a slip of the pen is refused.
_NEARLY = 0.9


def check_config(config: Mapping[str, Any]) -> None:
    """Refuses a config that MMEngine could not build a run from.

    Nothing is built or read from disk. What is left unchecked is what only one class
    knows about its arguments; see :func:`rggan_mm.config_check.errors_of_config`.

    Args:
        config: A config, or a dict of its form; left as it is.

    Raises:
        ConfigError: The first thing that is wrong, with its full name.
    """
    _refuse_slips(config)
    for name in _NEEDED:
        if config.get(name) is None:
            raise ConfigError(f'{name} is missing: the config must have a {name}')
    for pattern, rule in FIELDS.items():
        for field, value in _matches(config, pattern.split('.')):
            _check(field, value, rule)
    ungrouped(config)  # refuses hooks in the wrong place or twice
    check_combinations(config)
    with DefaultScope.overwrite_default_scope(config.get('default_scope') or 'mmengine'):
        for component in components(config):
            check_component(component)
        check_loops(config)


def check_imports(config: Mapping[str, Any]) -> None:
    """Refuses ``custom_imports`` that name no modules.

    Raises:
        ConfigError: A wrong field of it.
    """
    given = config.get('custom_imports')
    if given is None:
        return
    _check('custom_imports', given, settings())
    if 'imports' not in given:
        raise ConfigError('custom_imports.imports is missing: the names of the modules')
    _check('custom_imports.imports', given['imports'], texts())
    for name in given:
        if name not in ('imports', 'allow_failed_imports'):
            raise ConfigError(f'custom_imports: unknown argument {name}={given[name]!r}')


def check_training(config: Mapping[str, Any]) -> None:
    """Refuses a config that has nothing to train.

    Raises:
        ConfigError: One of the three parts of a training is missing.
    """
    for name in ('train_cfg', 'train_dataloader', 'optim_wrapper'):
        if config.get(name) is None:
            raise ConfigError(f'{name} is missing: without it there is nothing to train')


def _check(field: str, value: Any, rule: Rule) -> None:
    if not rule.allows(value):
        raise ConfigError(f'{field}={_one_line(value)} must be {rule.needs}')


def _matches(
    config: Any, pattern: list[str], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """Fields that a pattern names, with their values; '*' is any key, '#' any position."""
    if not pattern:
        yield '.'.join(path), config
        return
    for key, value in _children(config, pattern[0]):
        yield from _matches(value, pattern[1:], (*path, str(key)))


def _children(config: Any, key: str) -> Iterator[tuple[Any, Any]]:
    if isinstance(config, (list, tuple)):
        yield from enumerate(config) if key in ('*', '#') else ()
    elif hasattr(config, 'items') and key == '*':
        yield from config.items()
    elif hasattr(config, 'items') and key in config:
        yield key, config[key]


def _refuse_slips(config: Mapping[str, Any]) -> None:
    for name in config:
        meant = None if name in _TOP_LEVEL else close_name(name, _TOP_LEVEL, _NEARLY)
        if meant and config.get(meant) is None:
            raise ConfigError(f'{name}: did you mean {meant}? Nothing reads {name}')


def _one_line(value: Any, most: int = 200) -> str:
    shown = ' '.join(repr(value).split())
    return shown if len(shown) <= most else f'{shown[:most]}...'
