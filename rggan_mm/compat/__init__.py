"""The gaps between MMagic 1.2 and current libraries, one function a gap.

Every function is safe to call where its gap does not exist: it then changes
nothing and says so. ``python -m rggan_mm.compat`` prints what was done.
"""

from collections.abc import Callable

from rggan_mm.compat.adam_betas import accept_integer_betas
from rggan_mm.compat.checkpoints import load_checkpoints_safely
from rggan_mm.compat.compiled_ops import allow_missing_ops
from rggan_mm.compat.dcgan_init import repair_dcgan_init
from rggan_mm.compat.installed_packages import replace_pkg_resources
from rggan_mm.compat.mmcv_required import require_mmcv
from rggan_mm.compat.numpy_bool8 import restore_bool8
from rggan_mm.compat.outcome import Outcome

# Order matters: the last ones import mmagic, which needs the first ones.
GAPS: tuple[Callable[[], Outcome], ...] = (
    require_mmcv,
    restore_bool8,
    replace_pkg_resources,
    load_checkpoints_safely,
    allow_missing_ops,
    accept_integer_betas,
    repair_dcgan_init,
)

_outcomes: list[Outcome] = []


def apply() -> list[Outcome]:
    """Close every gap that exists here, once per process.

    Returns:
        One outcome per gap, in the order in which they were looked at; later
        calls return the same list and change nothing.

    Raises:
        ImportError: If neither mmcv nor mmcv-lite is installed.
    """
    if not _outcomes:
        _outcomes.extend([close() for close in GAPS])
    return list(_outcomes)


__all__ = ['GAPS', 'Outcome', 'apply']
