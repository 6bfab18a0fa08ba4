"""What MMagic 1.2 and MMEngine ask of Python, PyTorch and SciPy, and some versions refuse."""

import inspect
import pkgutil
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy import linalg
from torch import Tensor
from torch.nn.functional import grid_sample

from rggan_mm.compat.repair import Repair

# How ADA samples: bilinear, zeros outside, corners of pixels not aligned.
_HOW = (0, 0, False)


class Adam(torch.optim.Adam):
    """``torch.optim.Adam`` that takes integers among its betas.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate. Default: 1e-3.
        betas: Decay rates of the two averages. Default: (0.9, 0.999).
        *args: Further positional arguments of torch.optim.Adam.
        **kwargs: Further arguments of torch.optim.Adam.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple = (0.9, 0.999),
        *args: Any,
        **kwargs: Any,
    ) -> None:
        betas = tuple(float(b) if isinstance(b, int) else b for b in betas)
        super().__init__(params, lr, betas, *args, **kwargs)


def refuses_integers() -> bool:
    """Whether Adam of the installed PyTorch refuses an integer among its betas."""
    try:
        torch.optim.Adam([torch.zeros(1)], betas=(0, 0.5))
    except ValueError:
        return True
    return False


class _Sample(torch.autograd.Function):
    """Samples images; its gradient can be differentiated by the images."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(images, grid)
        return grid_sample(images, grid, 'bilinear', 'zeros', align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return _SampleGradient.apply(gradient, *ctx.saved_tensors)


class _SampleGradient(torch.autograd.Function):
    """Gradient of :class:`_Sample`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, images: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(grid)
        backward = torch.ops.aten.grid_sampler_2d_backward
        return backward(gradient, images, grid, *_HOW, (True, True))

    @staticmethod
    def backward(ctx: Any, by_images: Tensor, by_grid: Tensor) -> tuple[Tensor, None, None]:
        if ctx.needs_input_grad[2]:
            raise NotImplementedError('second derivative of grid_sample by its grid')
        (grid,) = ctx.saved_tensors
        # Sampling is linear in the images, so the gradient's gradient samples again.
        return _Sample.apply(by_images, grid), None, None


def sample(input: Tensor, grid: Tensor) -> Tensor:
    """Samples images at points, differentiable by the images any number of times.

    Args:
        input: Images (N, C, H, W).
        grid: Points (N, H_out, W_out, 2) in [-1, 1].

    Returns:
        Images (N, C, H_out, W_out).
    """
    return _Sample.apply(input, grid)


def differentiates_twice() -> bool:
    """Whether the installed PyTorch differentiates grid_sample twice."""
    images = torch.zeros(1, 1, 2, 2, requires_grad=True)
    sampled = grid_sample(images, torch.zeros(1, 2, 2, 2), align_corners=False)
    (gradient,) = torch.autograd.grad(sampled.square().sum(), images, create_graph=True)
    try:
        gradient.sum().backward()
    except RuntimeError:
        return False
    return True


def _with_disp(sqrtm: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """Wrap a square root that has no ``disp``; the error is relative, as SciPy's was."""

    @wraps(sqrtm)
    def sqrtm_with_disp(
        matrix: np.ndarray, disp: bool = True
    ) -> np.ndarray | tuple[np.ndarray, float]:
        root = sqrtm(matrix)
        if disp:
            return root
        return root, np.linalg.norm(root @ root - matrix) / np.linalg.norm(matrix)

    return sqrtm_with_disp


REPAIRS = (
    Repair(
        name='adam-betas',
        symptom='StyleGAN2, StyleGAN3, ADA and MSPIE with PyTorch 2.6 and later: "betas must be '
        'either both floats or both Tensors", because their configs say betas=(0, 0.99).',
        # An Adam of MMagic's own scope: other scopes, and MMEngine without one, keep torch's.
        changes={'mmagic.registry:OPTIMIZERS.module_dict.Adam': lambda registered: Adam},
        needed=refuses_integers,
    ),
    Repair(
        name='ada-grid-sample',
        symptom='ADA with R1, seen with PyTorch 2.1: "derivative for '
        'aten::grid_sampler_2d_backward is not implemented".',
        # MMagic's own operator for it is used on PyTorch 1.5 to 1.10 only.
        changes={
            'mmagic.models.editors.stylegan2.ada.grid_sample_gradfix:grid_sample': (
                lambda original: sample
            )
        },
        needed=lambda: not differentiates_twice(),
    ),
    Repair(
        name='sqrtm-disp',
        symptom='MMagic\'s FID with SciPy 1.18 and later: "sqrtm() got an unexpected keyword '
        "argument 'disp'\".",
        # Only the module that passes disp sees the repaired function.
        changes={
            'mmagic.evaluation.metrics.fid:linalg': lambda scipys: SimpleNamespace(
                **{**vars(scipys), 'sqrtm': _with_disp(scipys.sqrtm)}
            )
        },
        needed=lambda: 'disp' not in inspect.signature(linalg.sqrtm).parameters,
    ),
    Repair(
        name='find-loader',
        symptom='MMEngine 0.10.7 on Python 3.14, in every run: "module '
        "'pkgutil' has no attribute 'find_loader'\".",
        # It asks whether mmcv has compiled operators; the module alone sees the answer.
        changes={
            'mmengine.utils.dl_utils.misc:pkgutil': lambda python: SimpleNamespace(
                **{**vars(python), 'find_loader': find_spec}
            )
        },
        package='mmengine',
        last_version='0.10.7',
        needed=lambda: not hasattr(pkgutil, 'find_loader'),
    ),
)
