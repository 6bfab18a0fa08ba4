"""Mask, collapse guard and masked weight of a layer in one kernel, on a GPU.

The same arithmetic as :mod:`.masks`, bit for bit. There it takes some ten small kernels a
layer and forward, here one.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # PyTorch for the CPU comes without it
    triton = None

_BLOCK = 4096


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

    Returns:
        weight * M and M, in the weight's memory format.
    """
    masked = torch.empty_like(weight)
    kept = torch.empty_like(weight, dtype=kept_dtype)
    size = weight.numel()
    limit = -1 if min_keep is None else math.floor(min_keep * size)
    _kernel()[(triton.cdiv(size, _BLOCK),)](
        weight,
        threshold,
        masked,
        kept.view(torch.uint8) if kept_dtype is torch.bool else kept,
        guard_count,
        counters,
        size,
        weight.shape[out_dim],
        weight.stride(out_dim),
        limit,
        GUARDED=min_keep is not None,
        BLOCK=_BLOCK,
    )
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
        """The gradient of the weight alone."""
        (kept,) = ctx.saved_tensors
        return (grad * kept, *[None] * 6)


@cache
def _can_compile(device: torch.device) -> bool:
    return triton is not None and torch.cuda.get_device_capability(device) >= (7, 0)


def _is_dense(weight: Tensor) -> bool:
    # Then the channel of an entry follows from its place in memory.
    return weight.is_contiguous() or (
        weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    )


@cache
def _kernel():
    @triton.jit(do_not_specialize=['size', 'channels', 'stride', 'limit'])
    def mask(
        weights,
        thresholds,
        masked,
        kept,
        guard_count,
        counters,
        size,
        channels,
        stride,
        limit,
        GUARDED: tl.constexpr,
        BLOCK: tl.constexpr,
    ):
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = at < size
        weight = tl.load(weights + at, mask=inside, other=0.0)
        threshold = tl.load(thresholds + (at // stride) % channels, mask=inside, other=0.0)
        keep = (tl.abs(weight) > threshold) & inside
        tl.store(kept + at, keep.to(kept.dtype.element_ty), mask=inside)
        tl.store(masked + at, weight * keep.to(tl.float32), mask=inside)
        if GUARDED:
            tl.atomic_add(counters, tl.sum(keep.to(tl.int32), axis=0))
            tl.debug_barrier()
            done = tl.atomic_add(counters + 1, 1)
            if done == tl.num_programs(0) - 1:  # the last one sees what all have counted
                count = tl.atomic_xchg(counters, 0)
                tl.atomic_xchg(counters + 1, 0)
                if count <= limit:
                    tl.atomic_add(guard_count, 1)
                    for start in range(0, channels, BLOCK):
                        channel = start + tl.arange(0, BLOCK)
                        zeros = tl.zeros([BLOCK], tl.float32)
                        tl.store(thresholds + channel, zeros, mask=channel < channels)
                    for start in range(0, size, BLOCK):
                        at = start + tl.arange(0, BLOCK)
                        inside = at < size
                        weight = tl.load(weights + at, mask=inside, other=0.0)
                        keep = (tl.abs(weight) > 0) & inside
                        tl.store(kept + at, keep.to(kept.dtype.element_ty), mask=inside)
                        tl.store(masked + at, weight * keep.to(tl.float32), mask=inside)

    return mask
