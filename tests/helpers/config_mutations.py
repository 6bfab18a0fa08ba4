"""Mistakes in configs, drawn by hypothesis, and config files that hold them."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

# Out of range, or of another type, for nearly every field there is.
ODD_VALUES = (
    -1,
    0,
    -0.5,
    1e30,
    math.nan,
    math.inf,
    -math.inf,
    10**6,
    10**9,
    True,
    False,
    None,
    '',
    'nonsense',
    '7',
    [],
    [1, 2],
    {},
    {'a': 1},
    [{'type': 'Nonsense'}],
    {'type': 'Nonsense'},
)
_LETTERS = 'aeinostx'


@dataclass(frozen=True)
class Mutation:
    """One mistake.

    Attributes:
        path: Keys and positions that lead to the field.
        kind: 'set', 'delete', 'rename' or 'swap'.
        value: What 'set' puts there, the new name of 'rename', the path to 'swap' with.
    """

    path: tuple
    kind: str
    value: Any = None

    def apply(self, tree: dict) -> None:
        """Makes the mistake in a config's tree."""
        parent, key = at(tree, self.path[:-1]), self.path[-1]
        if self.kind == 'set':
            parent[key] = copy.deepcopy(self.value)
        elif self.kind == 'delete':
            del parent[key]
        elif self.kind == 'rename':
            parent[self.value] = parent.pop(key)
        else:
            other, name = at(tree, self.value[:-1]), self.value[-1]
            parent[key], other[name] = other[name], parent[key]


def at(tree: Any, path: tuple) -> Any:
    """What stands at a path."""
    for key in path:
        tree = tree[key]
    return tree


def paths_of(tree: Any, path: tuple = ()) -> list[tuple]:
    """Paths of all fields of a config, inner nodes included."""
    children = _children(tree)
    here = [path] if path else []
    return here + [p for key, value in children for p in paths_of(value, (*path, key))]


def leaves_of(tree: Mapping) -> list[tuple[tuple, Any]]:
    """Path and value of each field that has none below it."""
    found = [(path, at(tree, path)) for path in paths_of(tree)]
    return [(path, value) for path, value in found if not _children(value)]


def _children(tree: Any) -> list[tuple[Any, Any]]:
    if isinstance(tree, Mapping):
        return sorted(tree.items())
    return list(enumerate(tree)) if isinstance(tree, list) else []


@st.composite
def mutations(draw, tree: Mapping) -> Mutation:
    """One mistake in a config.

    Args:
        draw: Hypothesis's.
        tree: The config as plain dicts and lists.
    """
    paths = paths_of(tree)
    path = draw(st.sampled_from(paths))
    kinds = ['set', 'set', 'set', 'delete', 'swap']
    if isinstance(path[-1], str):
        kinds += ['rename', 'rename']
    if path[-1] == 'type':
        kinds += ['retype'] * 4
    kind = draw(st.sampled_from(kinds))
    if kind == 'rename':
        return Mutation(path, 'rename', draw(_typos(path[-1])))
    if kind == 'retype':
        return Mutation(path, 'set', draw(_typos(str(at(tree, path)))))
    if kind == 'swap':
        other = draw(st.sampled_from([p for p in paths if not _nested(p, path)] or [path]))
        return Mutation(path, 'swap', other)
    return Mutation(path, kind, draw(_odd_values(at(tree, path))) if kind == 'set' else None)


def _nested(one: tuple, other: tuple) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _odd_values(value: Any) -> st.SearchStrategy:
    """Values that are wrong anywhere, and some that are nearly right here."""
    near = [[value], {'value': value}, str(value)]
    if isinstance(value, (int, float)):
        near += [-value, value + 1, value * 1000, float(value) + 0.5]
    return st.sampled_from([*ODD_VALUES, *near])


@st.composite
def _typos(draw, name: str) -> str:
    """A name with one letter wrong."""
    place = draw(st.integers(0, len(name) - 1))
    kind = draw(st.sampled_from(['drop', 'double', 'other']))
    letter = {'drop': '', 'double': name[place] * 2, 'other': draw(st.sampled_from(_LETTERS))}[kind]
    changed = name[:place] + letter + name[place + 1 :]
    return changed if changed.isidentifier() and changed != name else f'{name}s'


def write_config(tree: Mapping[str, Any], path: Path) -> None:
    """Writes a config file, which Python can read whatever the values are."""
    path.write_text(''.join(f'{key} = {source(value)}\n' for key, value in tree.items()))


def source(value: Any) -> str:
    """Python source of a value; unlike ``repr``, of NaN and infinity as well."""
    if isinstance(value, Mapping):
        return f'{{{", ".join(f"{k!r}: {source(v)}" for k, v in value.items())}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(source, value))}]'
    if isinstance(value, tuple):
        return f'({"".join(f"{source(part)}, " for part in value)})'
    return f'float({str(value)!r})' if isinstance(value, float) else repr(value)
