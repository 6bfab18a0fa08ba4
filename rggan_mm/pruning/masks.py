"""Masks, their gradients and the regulariser, as pure functions.

Source: Saxena et al., RG-GAN, AAAI 2024; the straight-through estimator is that
of Liu et al., Dynamic Sparse Training, ICLR 2020 (eq. 5).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .layers import is_transposed

# Above, a sum of ones in float32 may round.
_EXACT_IN_FLOAT32 = 2**24


def threshold_shape(module: nn.Module, weight: Tensor, out_dim: int) -> list[int]:
    """Shape in which thresholds (C_out,) broadcast over a weight.

    Args:
        module: The layer that owns the weight.
        weight: The weight that the layer multiplies with.
        out_dim: Its output-channel dimension.

    Returns:
        A shape of ``weight.ndim`` entries, 1 everywhere but at ``out_dim``; with
        one dimension more in front for grouped transposed convolutions.
    """
    shape = [1] * weight.ndim
    shape[out_dim] = weight.shape[out_dim]
    grouped = is_transposed(module) and module.groups > 1
    return [module.groups, *shape] if grouped else shape


def keep_mask(weight: Tensor, thresholds: Tensor, shape: list[int] | None = None) -> Tensor:
    """The mask M = 1(|W| > t); True = kept.

    Args:
        weight: The weight that the layer multiplies with.
        thresholds: One per output channel.
        shape: From :func:`threshold_shape`; None when ``thresholds`` broadcasts
            as it is.

    Returns:
        Boolean tensor of the weight's shape, without gradient.
    """
    return exceeds(weight.detach().abs(), thresholds, shape).bool()


def exceeds(
    size: Tensor, thresholds: Tensor, shape: list[int] | None = None, in_place: bool = False
) -> Tensor:
    """The mask as numbers 0 and 1, for |W| that is there already.

    Args:
        size: |W|.
        thresholds: One per output channel.
        shape: As in :func:`keep_mask`.
        in_place: Whether ``size`` may be overwritten. Default: False.

    Returns:
        Tensor of the shape and dtype of ``size``, without gradient. Comparing into numbers
        and multiplying with them is vectorised on the CPU, with booleans it is not.
    """
    with torch.no_grad():
        size_by_group = _grouped(size, shape)
        numbers = size_by_group if in_place else torch.empty_like(size_by_group)
        torch.gt(size_by_group, _broadcast(thresholds, shape), out=numbers)
        return numbers if size_by_group is size else numbers.reshape(size.shape)


def ste_mask(
    weight: Tensor,
    thresholds: Tensor,
    shape: list[int] | None = None,
    numbers: Tensor | None = None,
) -> Tensor:
    """The same mask as numbers 0 and 1, with the straight-through gradient.

    With x = |W| - t the surrogate derivative of the step is 2 - 4|x| for
    |x| <= 0.4, 0.4 for 0.4 < |x| <= 1 and 0 beyond. It reaches W and t.

    Args:
        weight: The weight that the layer multiplies with.
        thresholds: One per output channel.
        shape: As in :func:`keep_mask`.
        numbers: The mask as :func:`exceeds` gives it, where it is there already.

    Returns:
        Tensor of the weight's shape and dtype.
    """
    if numbers is None:
        numbers = exceeds(weight.detach().abs(), thresholds, shape, in_place=True)
    by_group = (_grouped(tensor, shape) for tensor in (weight, numbers))
    # A copy: the collapse guard may reset thresholds before the backward pass.
    mask = _StraightThroughStep.apply(*by_group, _broadcast(thresholds, shape).clone())
    return mask.reshape(weight.shape)


def regularizer(thresholds: Iterable[Tensor], strength: float) -> Tensor:
    """The sparsity regulariser, strength * sum(exp(-t)), as a scalar tensor."""
    return strength * torch.stack([torch.exp(-t).sum() for t in thresholds]).sum()


def reset_collapsed(thresholds: Tensor, mask: Tensor, min_keep: float) -> Tensor:
    """The collapse guard: sets all thresholds of a layer to 0 where it collapsed.

    Works without a device synchronisation.

    Args:
        thresholds: The layer's thresholds, changed in place.
        mask: The layer's mask; True or 1 = kept.
        min_keep: Share of kept weights, in [0, 1), at or below which the layer
            counts as collapsed.

    Returns:
        0-d boolean tensor: whether the layer had collapsed.
    """
    with torch.no_grad():
        # A whole number: against a float, PyTorch would compare in float32.
        limit = math.floor(min_keep * mask.numel())
        collapsed = count_kept(mask) <= limit
        # masked_fill, not a product: a threshold of inf must become 0, not NaN.
        thresholds.masked_fill_(collapsed, 0)
    return collapsed


def count_kept(mask: Tensor) -> Tensor:
    """Number of kept weights, exact, as a 0-d tensor.

    Args:
        mask: Booleans, or numbers 0 and 1.
    """
    if mask.dtype == torch.bool or mask.numel() > _EXACT_IN_FLOAT32:
        return torch.count_nonzero(mask)
    return mask.sum(dtype=torch.promote_types(mask.dtype, torch.float32))


def _broadcast(thresholds: Tensor, shape: list[int] | None) -> Tensor:
    return thresholds if shape is None else thresholds.view(shape)


def _grouped(weight: Tensor, shape: list[int] | None) -> Tensor:
    if shape is None or len(shape) == weight.ndim:
        return weight
    return weight.reshape(shape[0], -1, *weight.shape[1:])


class _StraightThroughStep(torch.autograd.Function):
    # Nothing of the weight's size is kept for the backward pass that is not there anyway.
    @staticmethod
    def forward(ctx, weight: Tensor, numbers: Tensor, thresholds: Tensor) -> Tensor:
        ctx.save_for_backward(weight, thresholds)
        return numbers.view_as(numbers)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, Tensor]:
        weight, thresholds = ctx.saved_tensors
        distance = (weight.abs() - thresholds).abs()
        with torch.no_grad():
            near = torch.le(distance, 1, out=torch.empty_like(distance))
        # 2 - 4|x| falls to 0.4 at |x| = 0.4.
        slope = grad * (2 - 4 * distance).clamp_min(0.4) * near
        return slope * weight.sign(), None, -slope.sum_to_size(thresholds.shape)
