"""Which of a network's layers a user wants pruned, by pattern."""

import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import nn

from rggan_mm.errors import ConfigError

from .layers import LayerInfo, list_layers

_SHOWN = 8


def choose_layers(
    network: nn.Module, include: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> list[LayerInfo]:
    """The layers of one network that can be pruned and are wanted.

    Args:
        network: Any module.
        include: Glob patterns of what to prune; None (default): everything.
        exclude: Glob patterns of what to leave dense. A pattern names a layer or any
            module that holds it: 'mapping' stands for 'mapping.0.linear' as well.

    Returns:
        The chosen layers; may be empty.

    Raises:
        ConfigError: Patterns that are no list of names, or match nothing prunable.
    """
    judged = apply_patterns({info.name: info for info in list_layers(network)}, include, exclude)
    return [info for info in judged.values() if info.prunable]


def apply_patterns(
    layers: Mapping[str, LayerInfo], include: Sequence[str] | None, exclude: Sequence[str]
) -> dict[str, LayerInfo]:
    """Gives layers that are not wanted a reason against them.

    Args:
        layers: Layers by the name that patterns mean, of one network or several.
        include: As in :func:`choose_layers`.
        exclude: As in :func:`choose_layers`.

    Returns:
        All layers in the same order.

    Raises:
        ConfigError: As :func:`choose_layers`.
    """
    check_patterns(include, exclude)
    prunable = [name for name, info in layers.items() if info.prunable]
    for field, patterns in (('include', include or ()), ('exclude', exclude)):
        for pattern in patterns:
            _refuse_useless(field, pattern, prunable)
    return {
        name: _judge(name, info, include, exclude) if info.prunable else info
        for name, info in layers.items()
    }


def check_patterns(include: Sequence[str] | None, exclude: Sequence[str]) -> None:
    """Raises ConfigError unless both are lists of patterns; ``include`` may be None."""
    for field, value in (('include', include), ('exclude', exclude)):
        if value is None and field == 'include':
            continue
        named = isinstance(value, (list, tuple)) and all(isinstance(p, str) and p for p in value)
        if not named or (field == 'include' and not value):
            raise ConfigError(
                f"{field}={value!r} must be a list of patterns, such as ['generator.to_rgb*']"
            )


def _judge(
    name: str, info: LayerInfo, include: Sequence[str] | None, exclude: Sequence[str]
) -> LayerInfo:
    for pattern in exclude:
        if _matches(name, pattern):
            return replace(info, reason=f'excluded by {pattern}')
    if include is not None and not any(_matches(name, pattern) for pattern in include):
        return replace(info, reason='not in include')
    return info


def _matches(name: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(part, pattern) for part in _holders(name))


def _holders(name: str) -> Iterator[str]:
    """A dotted name and those of the modules around it: a.b.c, a.b, a."""
    while name:
        yield name
        name = name.rpartition('.')[0]


def _refuse_useless(field: str, pattern: str, names: Sequence[str]) -> None:
    if any(_matches(name, pattern) for name in names):
        return
    close = difflib.get_close_matches(pattern, names, n=_SHOWN, cutoff=0.4) or names[:_SHOWN]
    more = f' and {len(names) - len(close)} more' if len(names) > len(close) else ''
    raise ConfigError(
        f'{field}: pattern {pattern!r} matches no prunable layer; there is: '
        f'{", ".join(close)}{more}'
    )
