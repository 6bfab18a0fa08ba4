"""Whether values are of the kinds that a class's type hints name."""

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

# Hints are often too narrow (an int where 1.0 works as well): only another world is refused.
_KINDS = {int: 'a number', float: 'a number', bool: 'True or False', str: 'a text'}
_FOREIGN = {
    int: (str, list, tuple, Mapping),
    float: (str, list, tuple, Mapping),
    bool: (str, list, tuple, Mapping),
    str: (list, tuple, Mapping),  # MMEngine's AMP wrapper says str and takes a number
}


def wanted_kind(parameter: inspect.Parameter, value: Any) -> str | None:
    """What an argument should be in place of a value of quite another kind.

    Args:
        parameter: A parameter of a constructor.
        value: What a config gives it.

    Returns:
        A description; None where the value will do, or the hint is not a plain one.
    """
    if value is None or type(value) is type(parameter.default):
        return None
    hints = _plain(parameter.annotation)
    if not hints or any(not isinstance(value, _FOREIGN[hint]) for hint in hints):
        return None
    return ' or '.join(dict.fromkeys(_KINDS[hint] for hint in hints))


def _plain(annotation: Any) -> tuple[type, ...]:
    """The types of a hint when all are plain, None aside; otherwise nothing."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    hints = typing.get_args(annotation) if is_union else (annotation,)
    hints = tuple(hint for hint in hints if hint is not type(None))
    return hints if all(isinstance(h, type) and h in _KINDS for h in hints) else ()
