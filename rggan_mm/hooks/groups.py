"""Hooks in keys of their own, so that one base file adds them to any config.

Two base files of a config may not set the same key, and most of MMagic's set
``custom_hooks``. Hooks of this package therefore stand in dicts of their own,
``rg_hooks``, ``diffaug_hooks`` and ``baseline_hooks``, which join ``custom_hooks`` when
MMEngine builds a runner from the config. In a dict a later config changes one field of one hook.
"""

from collections.abc import Iterator, Mapping
from copy import copy, deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import HOOKS

from rggan_mm.close_names import close_name, did_you_mean
from rggan_mm.errors import ConfigError

GROUPS = ('rg_hooks', 'diffaug_hooks', 'baseline_hooks')
# Names in our base files.
_NAMES = (
    'pruning',
    'regeneration',
    'dense_merge',
    'curves',
    'samples',
    'exact_resume',
    'divergence',
    'preemption',
    'augment',
    'half_life',
    'static',
    'regan',
    'dynamic_sparse',
    'balance',
)
_NEARLY = 0.88
_OF_PRUNING = (
    'DynamicPruningHook',
    'RegenerationHook',
    'DenseMergeHook',
    'StaticPruningHook',
    'ReGANHook',
    'DynamicSparseHook',
)


def hooks_of(config: Mapping[str, Any]) -> list[ConfigDict]:
    """All hooks that a config adds to a run, those in groups first.

    Args:
        config: A config or a dict of its form.

    Returns:
        The very dicts of the config: a change shows in it.

    Raises:
        ConfigError: A group that is no dict of hooks, or ``custom_hooks`` that is no list.
    """
    grouped = [hook for _, hook in _grouped(config)]
    custom = config.get('custom_hooks') or []
    if not isinstance(custom, (list, tuple)):
        raise ConfigError(f'custom_hooks={custom!r} must be a list of hooks')
    return [*grouped, *custom]


def ungrouped(config: Any) -> Any:
    """Copies a config with the hooks of its groups in ``custom_hooks``.

    Args:
        config: A config or a dict of its form; left as it is.

    Returns:
        A config without groups; the given one when it has none.

    Raises:
        ConfigError: A group that is no dict of hooks, or a hook that is in
            ``custom_hooks`` already.
    """
    _refuse_near_misses(config)
    if not any(group in config for group in GROUPS):
        return config
    _refuse_twice(config)
    config = copy(config)
    hooks = hooks_of(config)
    for group in GROUPS:
        config.pop(group, None)
    config['custom_hooks'] = hooks
    return config


def without_pruning(config: Config) -> Config:
    """The dense twin of a config: the same run without hooks that prune.

    Args:
        config: A config; left as it is.

    Returns:
        A copy. A metric that DenseMergeHook was to follow is CurvesHook's now.
    """
    config = deepcopy(config)
    metrics = [hook.get('metric') for hook in hooks_of(config) if kind_of(hook) in _OF_PRUNING]
    for group in (config[name] for name in GROUPS if config.get(name)):
        for name in [name for name, hook in group.items() if kind_of(hook) in _OF_PRUNING]:
            del group[name]
    if config.get('custom_hooks'):
        kept = [hook for hook in config.custom_hooks if kind_of(hook) not in _OF_PRUNING]
        config.custom_hooks = kept
    followed = next(filter(None, metrics), None)
    for hook in hooks_of(config):
        if followed and kind_of(hook) == 'CurvesHook':
            hook.setdefault('metric', followed)
    return config


def kind_of(hook: Any) -> str:
    """Class name in a hook's config, without scope; a hook itself is its class."""
    kind = hook.get('type', '') if isinstance(hook, Mapping) else type(hook)
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))
    return name.rpartition('.')[2]


def asks_for_hooks(config: Mapping[str, Any]) -> bool:
    """Whether a config adds hooks of this package to its run.

    Args:
        config: A config or a dict of its form.

    Returns:
        True for a config with a group, or with a class of this package in ``custom_hooks``.
    """
    if any(config.get(group) for group in GROUPS):
        return True
    custom = config.get('custom_hooks')
    return isinstance(custom, (list, tuple)) and any(map(_is_ours, custom))


def _grouped(config: Mapping[str, Any]) -> Iterator[tuple[str, ConfigDict]]:
    """Full name and config of each hook in a group; None switches one off."""
    for group in GROUPS:
        hooks = config.get(group) or {}
        if not isinstance(hooks, Mapping):
            raise ConfigError(
                f'{group}={hooks!r} must be a dict of hooks by name, such as '
                "dict(pruning=dict(type='DynamicPruningHook'))"
            )
        for name, hook in hooks.items():
            if hook is not None:
                yield _checked(group, name, hook)
            elif name not in _NAMES:
                raise ConfigError(
                    f'{group}.{name}=None leaves out nothing{did_you_mean(name, _NAMES)}'
                )


def _checked(group: str, name: str, hook: Any) -> tuple[str, ConfigDict]:
    if not isinstance(hook, Mapping) or 'type' not in hook:
        raise ConfigError(
            f'{group}.{name}={hook!r} must be the config of a hook, a dict with '
            f'type{did_you_mean(name, _NAMES)}'
        )
    return f'{group}.{name}', hook


def _is_ours(hook: Any) -> bool:
    kind = hook.get('type') if isinstance(hook, Mapping) else type(hook)
    kind = HOOKS.get(kind) if isinstance(kind, str) else kind
    return getattr(kind, '__module__', '').startswith('rggan_mm.')


def _refuse_near_misses(config: Mapping[str, Any]) -> None:
    for key in config:
        close = None if key in GROUPS else close_name(key, GROUPS, _NEARLY)
        if close:
            raise ConfigError(f'{key}: did you mean {close}? Nothing reads {key}')


def _refuse_twice(config: Mapping[str, Any]) -> None:
    seen = {kind_of(hook): 'custom_hooks' for hook in config.get('custom_hooks') or []}
    for name, hook in _grouped(config):
        kind = kind_of(hook)
        if kind in seen:
            raise ConfigError(
                f'{name}: {kind} is in {seen[kind]} already; change the one that is there, '
                f'or set {name}=None'
            )
        seen[kind] = name
