"""Lets ``mmagic.models`` be imported with mmcv-lite, NumPy 2 and packages missing.

Each shim imports what it is for and then puts everything back; the one for ``mmagic.apis``
waits until somebody imports that. MMagic must not
be imported earlier: with mmcv-lite, name ``rggan_mm.plugin`` first in the
``custom_imports`` of a config, ahead of modules that import ``mmagic.models``.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple

from rggan_mm.errors import ConfigError

_APIS = 'mmagic.apis'
_AUX = 'controlnet_aux'


class Outcome(NamedTuple):
    """What became of a shim or a repair.

    Attributes:
        name: Its short name.
        state: 'applied'; 'not needed' where the symptom does not occur; 'unknown version'
            where nothing was changed because the package is newer than the known ones.
        symptom: What goes wrong without it.
    """

    name: str
    state: Literal['applied', 'not needed', 'unknown version']
    symptom: str


class MissingOps:
    """Stands for mmcv's extension module: any operator can be named, none called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a function that says what is missing when it is called."""
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> None:
            raise ConfigError(
                f'the compiled operator {name!r} is not in mmcv-lite: install the full '
                'mmcv (pip install -e .[full]) or choose a model that does without it'
            )

        return missing


def has_compiled_ops() -> bool:
    """Whether the full mmcv is installed."""
    return find_spec('mmcv._ext') is not None


@contextmanager
def missing_ops_allowed() -> Iterator[None]:
    """Let modules of ``mmcv.ops`` be imported without the compiled operators.

    The module ``mmcv._ext`` is not faked: MMEngine tells lite from full by it.
    """
    from mmcv.utils import ext_loader

    def load_ext(name: str, funcs: Sequence[str]) -> MissingOps:
        return MissingOps()

    original = ext_loader.load_ext
    ext_loader.load_ext = load_ext
    try:
        yield
    finally:
        ext_loader.load_ext = original


@contextmanager
def bool8_allowed() -> Iterator[None]:
    """Let modules read ``np.bool8``, which NumPy 2 does not have."""
    import numpy as np

    had = 'bool8' in vars(np)
    if not had:
        np.bool8 = np.bool_
    try:
        yield
    finally:
        if not had:
            del np.bool8


class _Unusable:
    """Stands for a class of a package that cannot be imported."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        raise ConfigError(f'{_AUX}, which this needs, cannot be imported: {self._reason}')


@contextmanager
def controlnet_aux_allowed() -> Iterator[None]:
    """Let ``controlnet_aux`` be named where its own imports fail, as with current mediapipe."""
    try:
        import_module(_AUX)
    except Exception as error:  # of whatever it imports
        reason = f'{type(error).__name__}: {error}'
    else:
        yield
        return
    stand_in = ModuleType(_AUX)
    stand_in.HEDdetector = _Unusable(reason)
    sys.modules[_AUX] = stand_in
    try:
        yield
    finally:
        del sys.modules[_AUX]


class _ApisLoader(Loader):
    """Imports ``mmagic.apis``, then gives its place back to the loader that it stands for."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        with controlnet_aux_allowed():
            self._loader.exec_module(module)
        sys.meta_path.remove(_ApisFinder)
        while _ApisFinder.then:
            _ApisFinder.then.pop()()


class _ApisFinder:
    """Waits in ``sys.meta_path`` for the import of ``mmagic.apis``."""

    then: ClassVar[list[Callable[[], object]]] = []

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == _APIS else None
        if spec is not None and spec.loader is not None:
            spec.loader = _ApisLoader(spec.loader)
        return spec


def after_apis(do: Callable[[], object]) -> None:
    """Calls a function when ``mmagic.apis`` has been imported; now, if it has been.

    Args:
        do: The function.
    """
    if _APIS in sys.modules:
        do()
    else:
        _ApisFinder.then.append(do)


def require_mmcv() -> Outcome:
    """End with one clear line when no mmcv is installed.

    Neither mmagic nor rggan_mm depends on mmcv, because pip would lay mmcv-lite
    over a full mmcv.

    Returns:
        The outcome.

    Raises:
        ImportError: If neither mmcv nor mmcv-lite is installed.
    """
    if find_spec('mmcv') is None:
        raise ImportError(
            'rggan_mm needs mmcv or mmcv-lite: run `pip install -e .[lite]` '
            '(pure Python) or `pip install -e .[full]` (compiled operators)'
        )
    return Outcome('mmcv', 'not needed', "ModuleNotFoundError: No module named 'mmcv'")


def import_ops() -> Outcome:
    """Import ``mmcv.ops``, which mmagic.models imports, with mmcv-lite."""
    symptom = "import mmagic.models with mmcv-lite: No module named 'mmcv._ext'"
    if has_compiled_ops():
        return Outcome('compiled-ops', 'not needed', symptom)
    with missing_ops_allowed():
        import_module('mmcv.ops')
    return Outcome('compiled-ops', 'applied', symptom)


def import_utils() -> Outcome:
    """Import the one module of MMagic that reads ``np.bool8``, with NumPy 2."""
    import numpy as np

    symptom = "import mmagic.utils with NumPy 2: module 'numpy' has no attribute 'bool8'"
    # hasattr() would raise the deprecation warning of NumPy 1.24 and later.
    if int(np.__version__.split('.')[0]) < 2:
        return Outcome('numpy-bool8', 'not needed', symptom)
    with bool8_allowed():
        import_module('mmagic.utils.trans_utils')
    return Outcome('numpy-bool8', 'applied', symptom)


def import_rooms() -> Outcome:
    """Import MMagic without the packages that only its diffusion models need."""
    from rggan_mm.compat import placeholders

    symptom = "import mmagic.models: No module named 'diffusers', or one too new for MMagic 1.2"
    applied = placeholders.import_rooms()
    return Outcome('diffusion-packages', 'applied' if applied else 'not needed', symptom)


def await_apis() -> Outcome:
    """Let ``mmagic.apis`` be imported later; it is slow, and training does without it."""
    symptom = "import mmagic.apis: controlnet_aux: module 'mediapipe' has no attribute 'solutions'"
    if _APIS in sys.modules:
        return Outcome('mmagic-apis', 'not needed', symptom)
    sys.meta_path.insert(0, _ApisFinder)
    return Outcome('mmagic-apis', 'applied', symptom)


@cache
def apply() -> tuple[Outcome, ...]:
    """Let MMagic be imported; later calls do nothing.

    Returns:
        One outcome per shim.

    Raises:
        ImportError: If neither mmcv nor mmcv-lite is installed.
    """
    return require_mmcv(), import_ops(), import_utils(), import_rooms(), await_apis()
