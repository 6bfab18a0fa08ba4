"""Recent PyTorch refuses an integer among Adam's betas."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from mmengine.registry import OPTIMIZERS

from rggan_mm.compat.outcome import Outcome

_NAME = 'adam-betas'


def _refuses_integers() -> bool:
    """Ask the installed Adam."""
    try:
        torch.optim.Adam([torch.zeros(1)], betas=(0, 0.5))
    except ValueError:
        return True
    return False


def _with_float_betas(cfg: Any) -> Any:
    """Copy a config with the integers of its betas as floats."""
    if not isinstance(cfg, dict) or not isinstance(cfg.get('betas'), (tuple, list)):
        return cfg
    cfg = cfg.copy()
    cfg['betas'] = tuple(float(b) if isinstance(b, int) else b for b in cfg['betas'])
    return cfg


def _convert_first(build: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a registry's build function."""

    @wraps(build)
    def build_with_float_betas(cfg: Any, *args: Any, **kwargs: Any) -> Any:
        return build(_with_float_betas(cfg), *args, **kwargs)

    return build_with_float_betas


def accept_integer_betas() -> Outcome:
    """Let a config say ``betas=(0, 0.99)``.

    Symptom: ``ValueError: betas must be either both floats or both Tensors``
    from StyleGAN2, StyleGAN3, ADA and MSPIE. Cause: their configs hold an
    integer zero. Applies to PyTorch 2.6 and later. Repaired where MMEngine and
    mmagic build optimisers from configs; the config itself stays as it is.

    Returns:
        The outcome.
    """
    if not _refuses_integers():
        return Outcome(_NAME, False, f'PyTorch {torch.__version__} takes integer betas')
    from mmagic.registry import OPTIMIZERS as MMAGIC_OPTIMIZERS

    for registry in (OPTIMIZERS, MMAGIC_OPTIMIZERS):
        registry.build_func = _convert_first(registry.build_func)
    return Outcome(_NAME, True, 'integer betas in a config become floats')
