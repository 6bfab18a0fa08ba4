"""Kinds of values that a field of a config can have."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

PLAIN = (str, bytes, int, float, list, tuple)


@dataclass(frozen=True)
class Rule:
    """What a field may hold.

    Attributes:
        allows: Whether a value is right.
        needs: What would be right, as it ends the sentence 'FIELD=VALUE must be ...'.
    """

    allows: Callable[[Any], bool]
    needs: str

    def or_none(self) -> 'Rule':
        """The same, or nothing at all."""
        return Rule(lambda value: value is None or self.allows(value), f'{self.needs}, or None')


def whole(least: int = 1, most: int | None = None) -> Rule:
    """A whole number in a range; a bool is none."""
    limit = math.inf if most is None else most
    needs = f'at least {least}' if most is None else f'{least} to {most:,}'
    return Rule(
        lambda value: _is(value, Integral) and least <= value <= limit, f'a whole number of {needs}'
    )


def number(least: float = 0.0, above: bool = False, most: float = math.inf) -> Rule:
    """A finite number of at least, or above, another one, and perhaps of at most a third."""

    def allows(value: Any) -> bool:
        in_range = _is(value, Real) and math.isfinite(value) and least <= value <= most
        return in_range and not (above and value == least)

    return Rule(allows, f'a finite number {"above" if above else "of at least"} {least:g}')


def pair_of_decays() -> Rule:
    """Two numbers in [0, 1), such as Adam's betas."""
    return Rule(
        lambda value: (
            isinstance(value, (list, tuple))
            and len(value) == 2
            and all(_is(part, Real) and 0 <= part < 1 for part in value)
        ),
        'two numbers in [0, 1), such as (0.0, 0.9)',
    )


def flag() -> Rule:
    """True or False."""
    return Rule(lambda value: isinstance(value, (bool, np.bool_)), 'True or False')


def text() -> Rule:
    """A text with something in it."""
    return Rule(lambda value: isinstance(value, str) and value != '', 'a text')


def texts() -> Rule:
    """A text, or a list of them."""
    return Rule(
        lambda value: (
            bool(value) and all(isinstance(part, str) and part for part in _listed(value))
        ),
        'a text or a list of texts',
    )


def one_of(*values: Any) -> Rule:
    """One of a few values, or a list of them where MMEngine takes one."""
    names = ', '.join(map(str, values))
    needs = f'one of {names}' if len(values) > 1 else names
    return Rule(lambda value: _hashable(value) and value in values, needs)


def part() -> Rule:
    """The config of a component, or the component itself."""
    return Rule(lambda value: value is not None and not isinstance(value, PLAIN), 'a dict')


def settings() -> Rule:
    """A dict of settings."""
    return Rule(lambda value: isinstance(value, Mapping), 'a dict')


def parts() -> Rule:
    """A list of configs of components, or of components."""
    return Rule(
        lambda value: isinstance(value, (list, tuple)) and all(map(part().allows, value)),
        'a list of dicts',
    )


def part_or_parts() -> Rule:
    """One component, or a list of them, which may hold lists where there are several loops."""
    return Rule(_are_parts, 'a dict or a list of dicts')


def either(*rules: Rule) -> Rule:
    """What one of several rules allows."""
    return Rule(
        lambda value: any(rule.allows(value) for rule in rules),
        ' or '.join(rule.needs for rule in rules),
    )


def _are_parts(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_are_parts, value))
    return part().allows(value)


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool_))


def _listed(value: Any) -> Sequence:
    return value if isinstance(value, (list, tuple)) else [value]


def _hashable(value: Any) -> bool:
    return isinstance(value, (str, bool, int, float, type(None)))
