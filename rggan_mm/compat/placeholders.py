"""Lets MMagic be imported without the packages that its diffusion models need.

MMagic 1.2 imports them whole, at fixed places; no GAN calls them. Where one is missing or
too new, MMagic's own modules are served a placeholder while they are imported. Nobody else
ever sees one: ``sys.modules`` and the import system stay as they are.
"""

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, metadata
from operator import attrgetter
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from rggan_mm.errors import ConfigError

# All that registers classes; a room that is imported later must find nothing missing.
ROOMS = ('models', 'engine', 'datasets', 'evaluation', 'visualization')


class Package(NamedTuple):
    """A package that MMagic imports and GANs do without.

    Attributes:
        name: Its name.
        probe: A module of it that MMagic reads and that shows whether it works.
        too_new: The first version that MMagic 1.2 cannot be imported with.
        needs: Other packages without which it does not work either.
    """

    name: str
    probe: str
    too_new: str | None = None
    needs: tuple[str, ...] = ()


# In the order in which they need each other.
PACKAGES = (
    Package('huggingface_hub', 'huggingface_hub', '0.26'),
    Package('transformers', 'transformers.models.clip.modeling_clip', '4.49'),
    Package('diffusers', 'diffusers.models.attention', '0.25', ('huggingface_hub', 'transformers')),
    Package('albumentations', 'albumentations'),
    Package('einops', 'einops'),
    Package('imageio', 'imageio'),
    Package('lpips', 'lpips'),
    Package('resize_right', 'resize_right'),
)


class PlaceholderError(ConfigError, AttributeError):
    """Something of a package was used that MMagic was imported without."""


class _Missing(type):
    """Class of the placeholders: their attributes are missing too."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(name)
        raise PlaceholderError(f'{cls.__name__} {cls._reason}')


class Placeholder(metaclass=_Missing):
    """Stands for a class: can be named and inherited from, not built."""

    _reason = 'is a placeholder'

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Say what is missing."""
        raise PlaceholderError(f'{cls.__name__} {cls._reason}')


class PlaceholderModule(ModuleType):
    """Stands for a package, its modules and functions.

    Names with a capital are classes, others modules that cannot be called.

    Args:
        name: The name of the package or of what it holds.
        reason: Follows a name in an error.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name)
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        """Make what is asked for, and keep it."""
        if name.startswith('__'):
            raise AttributeError(name)
        value = self._make(name)
        setattr(self, name, value)
        return value

    def _make(self, name: str) -> Any:
        if name.startswith('is_'):
            return lambda *args: False
        if name == 'register_to_config':  # a decorator
            return lambda function: function
        if name[0].isupper():
            return _Missing(name, (Placeholder,), dict(_reason=self._reason))
        return PlaceholderModule(name, self._reason)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Say what is missing."""
        raise PlaceholderError(f'{self.__name__} {self._reason}')


def _too_new(package: Package) -> str | None:
    """The version of a package that is too new for MMagic, or None."""
    from mmengine.utils import digit_version

    try:
        version = metadata.version(package.name)
    except metadata.PackageNotFoundError:
        return None
    newer = package.too_new and digit_version(version) >= digit_version(package.too_new)
    return version if newer else None


def _trouble(package: Package, missing: Mapping[str, str]) -> str | None:
    """What keeps MMagic from using a package, or None."""
    if version := _too_new(package):
        return f'in version {version} is too new for MMagic'
    for name in package.needs:
        if name in missing:
            return f'cannot be used, because {name} {missing[name]}'
    try:
        import_module(package.probe)
    except Exception as error:  # of whatever it imports
        if isinstance(error, ModuleNotFoundError) and error.name == package.name:
            return 'is not installed'
        return f'cannot be imported: {type(error).__name__}: {error}'
    return None


def missing_packages() -> dict[str, str]:
    """Find the packages that MMagic cannot use here.

    Returns:
        By name, what is wrong with it.
    """
    missing: dict[str, str] = {}
    for package in PACKAGES:
        if trouble := _trouble(package, missing):
            missing[package.name] = trouble
    return missing


def stand_in(name: str, trouble: str) -> PlaceholderModule:
    """Make the placeholder of a package.

    Args:
        name: The package.
        trouble: What is wrong with it.

    Returns:
        The placeholder.
    """
    bound = next((p.too_new for p in PACKAGES if p.name == name), None)
    # The extra has versions that fit each other, too.
    wanted = "'rggan_mm[mmagic-all]'" if bound else name
    reason = f'needs the package {name}, which {trouble}: pip install {wanted}'
    return PlaceholderModule(name, ' '.join(reason.split()))


def _find(stand_ins: Mapping[str, PlaceholderModule], name: str) -> Any:
    """Find a module by its full name, or None where the real one is to be used."""
    top, _, rest = name.partition('.')
    found = stand_ins.get(top)
    return attrgetter(rest)(found) if found and rest else found


def _for_mmagic(
    real: Callable[..., Any], stand_ins: Mapping[str, PlaceholderModule]
) -> Callable[..., Any]:
    """Make an ``__import__`` that serves placeholders to modules of MMagic alone."""

    def import_(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        asks = (globals or {}).get('__name__') or ''
        if level == 0 and asks.partition('.')[0] == 'mmagic':
            found = _find(stand_ins, name if fromlist else name.partition('.')[0])
            if found is not None:
                return found
        return real(name, globals, locals, fromlist, level)

    return import_


@contextmanager
def served(stand_ins: Mapping[str, PlaceholderModule]) -> Iterator[None]:
    """Serve placeholders to the modules of MMagic that are imported meanwhile.

    Args:
        stand_ins: By name of the package.
    """
    setup_env = import_module('mmagic.utils.setup_env')  # holds try_import
    real_import, real_importlib = builtins.__import__, setup_env.importlib
    builtins.__import__ = _for_mmagic(real_import, stand_ins)
    setup_env.importlib = SimpleNamespace(
        import_module=lambda name: _find(stand_ins, name) or import_module(name)
    )
    try:
        yield
    finally:
        builtins.__import__ = real_import
        setup_env.importlib = real_importlib


def import_rooms() -> bool:
    """Import MMagic with placeholders, where a package is missing.

    Returns:
        Whether a placeholder was needed.
    """
    if 'mmagic.models' in sys.modules:
        return False
    missing = missing_packages()
    if missing:
        with served({name: stand_in(name, trouble) for name, trouble in missing.items()}):
            for room in ROOMS:
                import_module(f'mmagic.{room}')
    return bool(missing)
