"""Older PyTorch cannot differentiate grid_sample twice, which ADA with R1 needs."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from rggan_mm.compat.outcome import Outcome

_NAME = 'ada-grid-sample'
_MODULE = 'mmagic.models.editors.stylegan2.ada.grid_sample_gradfix'
# How ADA samples: bilinear, zeros outside, corners of pixels not aligned.
_HOW = (0, 0, False)


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
    """Samples images at points, as often differentiable by the images as wanted.

    Args:
        input: Images (N, C, H, W).
        grid: Points (N, H_out, W_out, 2) in [-1, 1].

    Returns:
        Images (N, C, H_out, W_out).
    """
    return _Sample.apply(input, grid)


def _differentiates_twice() -> bool:
    """Ask the installed PyTorch."""
    images = torch.zeros(1, 1, 2, 2, requires_grad=True)
    sampled = grid_sample(images, torch.zeros(1, 2, 2, 2), align_corners=False)
    (gradient,) = torch.autograd.grad(sampled.square().sum(), images, create_graph=True)
    try:
        gradient.sum().backward()
    except RuntimeError:
        return False
    return True


def differentiate_sampling_twice() -> Outcome:
    """Let ADA train with R1 on every PyTorch.

    Symptom: ``RuntimeError: derivative for aten::grid_sampler_2d_backward is not
    implemented`` from StyleGAN with ADA. Cause: mmagic's own operator for it is
    used on PyTorch 1.5 to 1.10 only; later versions fall back to
    ``grid_sample``, which can be differentiated twice in new ones only.
    Applies to mmagic up to 1.2.0, seen with PyTorch 2.1.

    Returns:
        The outcome.
    """
    if _differentiates_twice():
        return Outcome(_NAME, False, f'PyTorch {torch.__version__} differentiates it twice')
    import_module(_MODULE).grid_sample = sample
    return Outcome(_NAME, True, 'ADA samples with an operator that has second derivatives')
