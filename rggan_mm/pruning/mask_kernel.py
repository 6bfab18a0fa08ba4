"""Mask, collapse guard and masked weight of a layer in one kernel, on a GPU.

The same arithmetic as :mod:`.masks`, bit for bit. There it takes some ten small kernels a
layer and forward, here one.
"""

import math
from functools import cache
from types import ModuleType

import torch
from torch import Tensor


def usable(weight: Tensor, threshold: Tensor, shape: list[int]) -> bool:
    """Whether the kernel can mask a weight.

    Args:
        weight: The weight that the layer multiplies with, on any device.
        threshold: Its thresholds.
        shape: From :func:`~.masks.threshold_shape`.
    """
    return (
        weight.is_cuda
        and threshold.device == weight.device
        and threshold.dtype == weight.dtype == torch.float32
        and len(shape) == weight.ndim  # not a grouped transposed convolution
        and _is_dense(weight)
        and _can_compile(weight.device)
    )


def mask_weight(
    weight: Tensor,
    threshold: Tensor,
    out_dim: int,
    min_keep: float | None,
    guard_count: Tensor,
    counters: Tensor,
    kept_dtype: torch.dtype,
    masked_dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Masks a weight; the collapse guard may reset the thresholds in place.

    Args:
        weight: A weight for which :func:`usable` holds; without gradient.
        threshold: Its thresholds, shape (C_out,).
        out_dim: The weight's output-channel dimension.
        min_keep: Limit of the collapse guard, in [0, 1); None: no guard.
        guard_count: int64, 0-d: how often the guard has acted; counted up in place.
        counters: int32, two zeros, that are zeros again afterwards.
        kept_dtype: Type of the mask: bool or the weight's.
        masked_dtype: Type of the masked weight: float32, or what autocast takes.

    Returns:
        weight * M and M, in the weight's memory format.
    """
    masked = torch.empty_like(weight, dtype=masked_dtype)
    kept = torch.empty_like(weight, dtype=kept_dtype)
    limit = None if min_keep is None else math.floor(min_keep * weight.numel())
    written = kept.view(torch.uint8) if kept_dtype is torch.bool else kept
    tensors = weight, threshold, masked, written, guard_count, counters
    _program().launch(*tensors, weight.stride(out_dim), weight.shape[out_dim], limit)
    return masked, kept


class MaskedWeight(torch.autograd.Function):
    """:func:`mask_weight` with the gradient of weight * M; thresholds get none."""

    @staticmethod
    def forward(ctx, weight: Tensor, threshold: Tensor, *settings: object) -> tuple:
        """Returns the masked weight and the mask."""
        masked, kept = mask_weight(weight, threshold, *settings)
        ctx.save_for_backward(kept)
        ctx.mark_non_differentiable(kept)
        return masked, kept

    @staticmethod
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple:
        """The gradient of the weight alone, in the weight's type, which the mask has."""
        (kept,) = ctx.saved_tensors
        return (grad * kept, *[None] * 7)


@cache
def _can_compile(device: torch.device) -> bool:
    if torch.cuda.get_device_capability(device) < (7, 0):
        return False
    try:
        _program()
    except ImportError:
        return False
    return True


def _program() -> ModuleType:
    # Imported when a GPU needs it: it loads Triton, which takes as long as the rest of the core
    # several times over. PyTorch for the CPU comes without.
    from . import mask_program

    return mask_program


def _is_dense(weight: Tensor) -> bool:
    # Then the channel of an entry follows from its place in memory.
    return weight.is_contiguous() or (
        weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    )
