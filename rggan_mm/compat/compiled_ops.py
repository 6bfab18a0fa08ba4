"""mmcv-lite has no compiled operators."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from rggan_mm.compat.outcome import Outcome
from rggan_mm.errors import ConfigError

_NAME = 'compiled-ops'


class MissingOps:
    """Stands for the extension module: any operator can be named, none called."""

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


def load_missing_ops(name: str, funcs: Sequence[str]) -> MissingOps:
    """Take the place of ``mmcv.utils.ext_loader.load_ext``.

    Args:
        name: Name of the extension module, always ``_ext``.
        funcs: Operators that the caller will use.

    Returns:
        A stand-in whose operators raise ConfigError when called.
    """
    return MissingOps()


def allow_missing_ops() -> Outcome:
    """Let mmagic.models be imported with mmcv-lite.

    Symptom: ``ModuleNotFoundError: No module named 'mmcv._ext'`` on
    ``import mmagic.models``. Cause: mmagic imports ``mmcv.ops``, which loads the
    compiled extension at import. Applies to mmcv-lite 2.0 and 2.1. The module
    ``mmcv._ext`` is not faked: MMEngine tells lite from full by it.

    Returns:
        The outcome.
    """
    if find_spec('mmcv._ext') is not None:
        return Outcome(_NAME, False, 'mmcv has its compiled operators')
    from mmcv.utils import ext_loader

    ext_loader.load_ext = load_missing_ops
    return Outcome(_NAME, True, 'mmcv-lite: a compiled operator fails when called, not at import')
