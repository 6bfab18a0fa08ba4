"""Whether values are of the kinds that a class's type hints name."""

import inspect
import types
import typing
from typing import Any

# Hints of other packages are often too narrow (a size takes a pair as well, a loss scale that
# says str a dict): only a text in place of a number is refused.
_KINDS = {int: 'a number', float: 'a number', bool: 'True or False'}


def wanted_kind(parameter: inspect.Parameter, value: Any) -> str | None:
    """What an argument should be in place of a text.

    Args:
        parameter: A parameter of a constructor.
        value: What a config gives it.

    Returns:
        A description; None where the value will do, or the hint is not a plain one.
    """
    if not isinstance(value, str) or isinstance(parameter.default, str):
        return None
    hints = _plain(parameter.annotation)
    return ' or '.join(dict.fromkeys(_KINDS[hint] for hint in hints)) or None


def _plain(annotation: Any) -> tuple[type, ...]:
    """The types of a hint when all are plain, None aside; otherwise nothing."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    hints = typing.get_args(annotation) if is_union else (annotation,)
    hints = tuple(hint for hint in hints if hint is not type(None))
    return hints if all(isinstance(h, type) and h in _KINDS for h in hints) else ()
