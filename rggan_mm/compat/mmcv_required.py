"""Neither mmcv nor mmcv-lite is installed."""

from importlib.util import find_spec

from rggan_mm.compat.outcome import Outcome


def require_mmcv() -> Outcome:
    """End with one clear line when no mmcv is there.

    Symptom: ``ModuleNotFoundError: No module named 'mmcv'`` from inside mmagic.
    Cause: neither mmagic nor rggan_mm depends on mmcv, because pip would lay
    mmcv-lite over a full mmcv. Applies to every version.

    Returns:
        The outcome; there is never anything to repair.

    Raises:
        ImportError: If neither mmcv nor mmcv-lite is installed.
    """
    if find_spec('mmcv') is None:
        raise ImportError(
            'rggan_mm needs mmcv or mmcv-lite: run `pip install -e .[lite]` '
            '(pure Python) or `pip install -e .[full]` (compiled operators)'
        )
    return Outcome('mmcv', False, 'mmcv or mmcv-lite is installed')
