"""The gaps between MMagic 1.2 and current libraries, one function a gap.

Every function is safe to call where its gap does not exist: it then changes
nothing and says so. ``python -m rggan_mm.compat`` prints what was done.
"""

from collections.abc import Callable

from rggan_mm.compat.ada_grid_sample import differentiate_sampling_twice
from rggan_mm.compat.ada_processes import update_ada_in_every_process
from rggan_mm.compat.adam_betas import accept_integer_betas
from rggan_mm.compat.amp import (
    accept_integer_loss_scale,
    keep_loss_scaler,
    resume_without_a_scale,
)
from rggan_mm.compat.amp_cpu import allow_mixed_precision_on_cpu
from rggan_mm.compat.checkpoints import load_checkpoints_safely
from rggan_mm.compat.compiled_ops import allow_missing_ops
from rggan_mm.compat.cyclegan_init import repair_cyclegan_init
from rggan_mm.compat.cyclegan_processes import average_cyclegan_gradients
from rggan_mm.compat.dcgan_init import repair_dcgan_init
from rggan_mm.compat.distributed_cpu import allow_processes_on_cpu
from rggan_mm.compat.installed_packages import replace_pkg_resources
from rggan_mm.compat.mmcv_required import require_mmcv
from rggan_mm.compat.numpy_bool8 import restore_bool8
from rggan_mm.compat.outcome import Outcome
from rggan_mm.compat.package_configs import accept_dashes_in_folders
from rggan_mm.compat.pggan_data import fetch_growing_data
from rggan_mm.compat.pggan_resume import resume_pggan
from rggan_mm.compat.real_statistics import tell_real_images_apart
from rggan_mm.compat.resumed_best import remember_last_checkpoint
from rggan_mm.compat.singan_resume import resume_singan
from rggan_mm.compat.spectral_norm_init import initialise_under_spectral_norm
from rggan_mm.compat.sqrtm import restore_disp
from rggan_mm.compat.stylegan_ops import use_plain_stylegan_ops
from rggan_mm.training.checkpoint_fit import refuse_foreign_weights
from rggan_mm.training.checkpoint_names import name_weights_plainly
from rggan_mm.training.checkpoint_saving import save_checkpoints_whole
from rggan_mm.training.checkpoint_search import resume_from_whole_checkpoints

# Order matters: the last ones import mmagic, which needs the first ones.
GAPS: tuple[Callable[[], Outcome], ...] = (
    require_mmcv,
    restore_bool8,
    replace_pkg_resources,
    accept_dashes_in_folders,
    load_checkpoints_safely,
    save_checkpoints_whole,
    resume_from_whole_checkpoints,
    remember_last_checkpoint,
    name_weights_plainly,
    refuse_foreign_weights,
    allow_processes_on_cpu,
    accept_integer_loss_scale,
    resume_without_a_scale,
    allow_mixed_precision_on_cpu,
    allow_missing_ops,
    use_plain_stylegan_ops,
    accept_integer_betas,
    repair_dcgan_init,
    keep_loss_scaler,
    tell_real_images_apart,
    restore_disp,
    repair_cyclegan_init,
    average_cyclegan_gradients,
    update_ada_in_every_process,
    differentiate_sampling_twice,
    resume_singan,
    resume_pggan,
    fetch_growing_data,
    initialise_under_spectral_norm,
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
