"""Repairs of other libraries as data, and what applies and undoes them."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from mmengine.utils import digit_version

from rggan_mm.compat.shims import Outcome

_ABSENT = object()


@dataclass(frozen=True)
class Repair:
    """A repair of another library.

    Attributes:
        name: Its short name.
        symptom: What goes wrong without it, in one or two sentences.
        changes: What is replaced: from ``'module:attribute'`` (the attribute may be dotted; its
            last part may be a key of a dict) to a function that makes the replacement from the
            original, which is None for a key that is not there.
        package: The package that is repaired.
        last_version: The newest version that is known to need the repair.
        needed: Tells whether the symptom occurs here. None: in every version up to
            ``last_version``, and an unknown one is left alone.
    """

    name: str
    symptom: str
    changes: Mapping[str, Callable[[Any], Any]]
    package: str = 'mmagic'
    last_version: str = '1.2.0'
    needed: Callable[[], bool] | None = None

    @property
    def version_is_known(self) -> bool:
        """Whether the installed package is not newer than the known ones."""
        installed = import_module(self.package).__version__
        return digit_version(installed) <= digit_version(self.last_version)


class _Place(NamedTuple):
    """An attribute of a module or class, or a key of a dict."""

    owner: Any
    name: str

    def own(self) -> Any:
        """What the owner itself holds, without what it inherits."""
        held = self.owner if isinstance(self.owner, dict) else vars(self.owner)
        return held.get(self.name, _ABSENT)

    def seen(self) -> Any:
        """What a user of the place sees."""
        if isinstance(self.owner, dict):
            return self.owner.get(self.name)
        return getattr(self.owner, self.name)

    def put(self, value: Any) -> None:
        """Hold a value, or nothing."""
        if isinstance(self.owner, dict):
            self.owner.pop(self.name, None)
            self.owner.update({} if value is _ABSENT else {self.name: value})
        elif value is _ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, value)


# By name of the repair: what was there before, in the order of the changes.
_originals: dict[str, list[tuple[_Place, Any]]] = {}


def find(target: str) -> _Place | None:
    """Find what a target of a repair names.

    Args:
        target: As in :attr:`Repair.changes`.

    Returns:
        The place, or None if the package has no such module or attribute.
    """
    module, _, path = target.partition(':')
    *parents, name = path.split('.')
    try:
        owner = import_module(module)
        for parent in parents:
            owner = getattr(owner, parent)
        place = _Place(owner, name)
        place.seen()
    except AttributeError:
        return None
    except ModuleNotFoundError as error:
        if error.name is None or not f'{module}.'.startswith(f'{error.name}.'):
            raise  # the module is there, but something that it imports is not
        return None
    return place


def _change(repair: Repair) -> bool:
    """Replace all targets of a repair, or none if one is missing."""
    places = [find(target) for target in repair.changes]
    if None in places:
        return False
    originals = _originals[repair.name] = []
    for place, make in zip(places, repair.changes.values(), strict=True):
        originals.append((place, place.own()))
        place.put(make(place.seen()))
    return True


def _state(repair: Repair) -> str:
    """Apply one repair where it is needed."""
    if repair.name in _originals:
        return 'applied'
    if repair.needed is None and not repair.version_is_known:
        return 'unknown version'
    if repair.needed is not None and not repair.needed():
        return 'not needed'
    return 'applied' if _change(repair) else 'unknown version'


def apply(repairs: Iterable[Repair]) -> list[Outcome]:
    """Apply repairs; those that are applied already stay as they are.

    A package newer than the known versions is one warning.

    Args:
        repairs: The repairs.

    Returns:
        One outcome per repair.
    """
    repairs = list(repairs)
    newer = {repair.package for repair in repairs if not repair.version_is_known}
    for package in sorted(newer):
        warnings.warn(
            f'{package} {import_module(package).__version__} is newer than the versions that '
            'rggan_mm knows: `python -m rggan_mm.compat` shows which repairs were left out',
            stacklevel=2,
        )
    return [Outcome(repair.name, _state(repair), repair.symptom) for repair in repairs]


def undo() -> None:
    """Put back every original that :func:`apply` replaced."""
    while _originals:
        _, originals = _originals.popitem()
        for place, original in reversed(originals):
            place.put(original)
