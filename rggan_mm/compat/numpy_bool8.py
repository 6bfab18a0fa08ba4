"""NumPy 2 dropped ``np.bool8``."""

import numpy as np

from rggan_mm.compat.outcome import Outcome


def restore_bool8() -> Outcome:
    """Give NumPy 2 the alias that mmagic reads at import.

    Symptom: ``AttributeError: module 'numpy' has no attribute 'bool8'`` on
    ``import mmagic.utils``. Cause: mmagic/utils/trans_utils.py uses the alias,
    which NumPy 2.0 removed. Applies to mmagic 1.2 with NumPy 2 and later.

    Returns:
        The outcome.
    """
    # hasattr() would raise the deprecation warning of NumPy 1.24 and later.
    if int(np.__version__.split('.')[0]) < 2:
        return Outcome('numpy-bool8', False, f'NumPy {np.__version__} has np.bool8')
    np.bool8 = np.bool_
    return Outcome('numpy-bool8', True, f'np.bool8 is back in NumPy {np.__version__}')
