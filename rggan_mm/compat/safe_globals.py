"""The classes and functions that MMEngine's checkpoints may name."""

import pickle
from importlib import import_module
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

# NumPy 2 moved its core; a checkpoint written under one name loads under both.
_NUMPY_CORES = ('numpy.core.multiarray', 'numpy._core.multiarray')
_DTYPES = ('bool', 'int32', 'int64', 'float32', 'float64')


def history_statistic(owner: Any, name: str) -> Any:
    """Stand for the ``getattr`` by which a HistoryBuffer names its statistics.

    Args:
        owner: Must be the class HistoryBuffer.
        name: Name of one of its public methods.

    Returns:
        The method.

    Raises:
        UnpicklingError: For any other attribute.
    """
    if owner is not HistoryBuffer or name.startswith('_') or name not in vars(owner):
        raise pickle.UnpicklingError(f'Unsupported global: {owner!r}.{name}')
    return getattr(owner, name)


def mmengine_safe_globals() -> dict[str, Any]:
    """List what a checkpoint needs beyond tensors and plain Python values.

    MMEngine's message hub keeps its scalars in HistoryBuffers, which hold
    NumPy arrays, and metrics may be NumPy scalars. Nothing here runs code of
    the file's choosing.

    Returns:
        Object by the full name that it has in a pickle.
    """
    current = _NUMPY_CORES[int(np.__version__.split('.')[0]) >= 2]
    multiarray = import_module(current)
    allowed = {
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'builtins.getattr': history_statistic,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
    }
    for core in _NUMPY_CORES:
        allowed[f'{core}._reconstruct'] = multiarray._reconstruct
        allowed[f'{core}.scalar'] = multiarray.scalar
    # PyTorch wants the class of each dtype object too before it restores one.
    for kind in (type(np.dtype(name)) for name in _DTYPES):
        allowed[f'{kind.__module__}.{kind.__name__}'] = kind
    return allowed
