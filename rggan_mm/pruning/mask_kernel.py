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

# Entries that one program masks, and the most of them in one channel.
_TILE = 2048
_MOST_COLUMNS = 512


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
    size, inner = weight.numel(), weight.stride(out_dim)
    columns = min(triton.next_power_of_2(inner), _MOST_COLUMNS)
    rows = _TILE // columns
    limit = -1 if min_keep is None else math.floor(min_keep * size)
    _kernel()[(triton.cdiv(size // inner, rows), triton.cdiv(inner, columns))](
        weight,
        threshold,
        masked,
        kept.view(torch.uint8) if kept_dtype is torch.bool else kept,
        guard_count,
        counters,
        inner,
        size,
        weight.shape[out_dim],
        limit,
        GUARDED=min_keep is not None,
        ROWS=rows,
        COLUMNS=columns,
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
        """The gradient of the weight alone, in the weight's type, which the mask has."""
        (kept,) = ctx.saved_tensors
        return (grad * kept, *[None] * 7)


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
    # The weight lies in memory as rows of `inner` entries of one channel each.
    @triton.jit(do_not_specialize=['size', 'channels', 'limit'])
    def mask(
        weights,
        thresholds,
        masked,
        kept,
        guard_count,
        counters,
        inner,
        size,
        channels,
        limit,
        GUARDED: tl.constexpr,
        ROWS: tl.constexpr,
        COLUMNS: tl.constexpr,
    ):
        row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        exists = row * inner < size
        inside = exists[:, None] & (column < inner)[None, :]
        at = row[:, None] * inner + column[None, :]
        threshold = tl.load(thresholds + row % channels, mask=exists, other=0.0)
        weight = tl.load(weights + at, mask=inside, other=0.0)
        keep = (tl.abs(weight) > threshold[:, None]) & inside
        tl.store(kept + at, keep.to(kept.dtype.element_ty), mask=inside)
        product = weight * keep.to(tl.float32)
        tl.store(masked + at, product.to(masked.dtype.element_ty), mask=inside)
        if GUARDED:
            tl.atomic_add(counters, tl.sum(tl.sum(keep.to(tl.int32), axis=1), axis=0))
            tl.debug_barrier()
            done = tl.atomic_add(counters + 1, 1)
            if done == tl.num_programs(0) * tl.num_programs(1) - 1:
                # The last program sees what all have counted.
                count = tl.atomic_xchg(counters, 0)
                tl.atomic_xchg(counters + 1, 0)
                if count <= limit:
                    tl.atomic_add(guard_count, 1)
                    step = tl.arange(0, 1024)
                    for start in range(0, channels, 1024):
                        zeros = tl.zeros([1024], tl.float32)
                        tl.store(thresholds + start + step, zeros, mask=start + step < channels)
                    for start in range(0, size, 1024):
                        place = start + step
                        is_there = place < size
                        own = tl.load(weights + place, mask=is_there, other=0.0)
                        any_size = (tl.abs(own) > 0) & is_there
                        tl.store(kept + place, any_size.to(kept.dtype.element_ty), mask=is_there)
                        all_of_it = own * any_size.to(tl.float32)
                        tl.store(masked + place, all_of_it.to(masked.dtype.element_ty), is_there)

    return mask
