"""The program of :mod:`.mask_kernel`; importing it loads Triton."""

import triton
import triton.language as tl
from torch import Tensor

# Entries that one program masks, and the most of them in one channel.
_TILE = 2048
_MOST_COLUMNS = 512


def launch(
    weight: Tensor,
    threshold: Tensor,
    masked: Tensor,
    kept: Tensor,
    guard_count: Tensor,
    counters: Tensor,
    inner: int,
    channels: int,
    limit: int | None,
) -> None:
    """Fills ``masked`` and ``kept``; the collapse guard may reset the thresholds.

    Args:
        weight: The weight, without gaps in memory.
        threshold: Its thresholds.
        masked: As large as the weight, in its memory format.
        kept: The same.
        guard_count: Counted up where the guard acts.
        counters: Two zeros, that are zeros again afterwards.
        inner: Entries of one channel that lie side by side in memory.
        channels: Number of channels.
        limit: The guard acts where no more entries are kept than this; None: no guard.
    """
    size = weight.numel()
    columns = min(triton.next_power_of_2(inner), _MOST_COLUMNS)
    rows = _TILE // columns
    _mask[(triton.cdiv(size // inner, rows), triton.cdiv(inner, columns))](
        weight,
        threshold,
        masked,
        kept,
        guard_count,
        counters,
        inner,
        size,
        channels,
        -1 if limit is None else limit,
        GUARDED=limit is not None,
        ROWS=rows,
        COLUMNS=columns,
    )


@triton.jit(do_not_specialize=['size', 'channels', 'limit'])
def _mask(
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
    # The weight lies in memory as rows of `inner` entries of one channel each.
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
