"""SciPy's matrix square root loses an argument that FID passes."""

import inspect
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import SimpleNamespace

import numpy as np
from scipy import linalg

from rggan_mm.compat.outcome import Outcome

_NAME = 'sqrtm-disp'
_USERS = ('mmagic.evaluation.metrics.fid', 'pytorch_fid.fid_score')


def _with_disp(sqrtm: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """Wrap a square root that has no ``disp``."""

    @wraps(sqrtm)
    def sqrtm_with_disp(
        matrix: np.ndarray, disp: bool = True
    ) -> np.ndarray | tuple[np.ndarray, float]:
        root = sqrtm(matrix)
        if disp:
            return root
        return root, np.linalg.norm(root @ root - matrix) / np.linalg.norm(matrix)

    return sqrtm_with_disp


def restore_disp() -> Outcome:
    """Let mmagic and pytorch-fid call ``scipy.linalg.sqrtm(..., disp=False)``.

    Symptom: ``TypeError: sqrtm() got an unexpected keyword argument 'disp'`` when
    an FID is computed. Cause: deprecated in SciPy 1.16, announced to go in 1.18.
    Applies to any SciPy without the argument. Only the two modules that pass it
    see the repaired function; it returns the relative error beside the root, as
    SciPy did.

    Returns:
        The outcome.
    """
    if 'disp' in inspect.signature(linalg.sqrtm).parameters:
        return Outcome(_NAME, False, 'sqrtm of this SciPy takes disp')
    repaired = SimpleNamespace(**{**vars(linalg), 'sqrtm': _with_disp(linalg.sqrtm)})
    for user in map(import_module, _USERS):
        user.linalg = repaired
    return Outcome(_NAME, True, 'mmagic and pytorch-fid may pass disp to sqrtm')
