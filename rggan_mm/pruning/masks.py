"""Masks, their gradients and the regulariser, as pure functions.

Source: Saxena et al., RG-GAN, AAAI 2024; the straight-through estimator is that
of Liu et al., Dynamic Sparse Training, ICLR 2020 (eq. 5).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .layers import is_transposed


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
    return exceeds(weight.detach().abs(), thresholds, shape)


def exceeds(size: Tensor, thresholds: Tensor, shape: list[int] | None = None) -> Tensor:
    """As :func:`keep_mask`, for |W| that is there already."""
    with torch.no_grad():
        return _grouped(size, shape).gt(_broadcast(thresholds, shape)).reshape(size.shape)


def ste_mask(weight: Tensor, thresholds: Tensor, shape: list[int] | None = None) -> Tensor:
    """The same mask as numbers 0 and 1, with the straight-through gradient.

    With x = |W| - t the surrogate derivative of the step is 2 - 4|x| for
    |x| <= 0.4, 0.4 for 0.4 < |x| <= 1 and 0 beyond. It reaches W and t.

    Args:
        weight: The weight that the layer multiplies with.
        thresholds: One per output channel.
        shape: As in :func:`keep_mask`.

    Returns:
        Tensor of the weight's shape and dtype.
    """
    distance = _grouped(weight, shape).abs() - _broadcast(thresholds, shape)
    return _StraightThroughStep.apply(distance).reshape(weight.shape)


def regularizer(thresholds: Iterable[Tensor], strength: float) -> Tensor:
    """The sparsity regulariser, strength * sum(exp(-t)), as a scalar tensor."""
    return strength * torch.stack([torch.exp(-t).sum() for t in thresholds]).sum()


def reset_collapsed(thresholds: Tensor, mask: Tensor, min_keep: float) -> Tensor:
    """The collapse guard: sets all thresholds of a layer to 0 where it collapsed.

    Works without a device synchronisation.

    Args:
        thresholds: The layer's thresholds, changed in place.
        mask: The layer's mask; True = kept.
        min_keep: Share of kept weights, in [0, 1), at or below which the layer
            counts as collapsed.

    Returns:
        0-d boolean tensor: whether the layer had collapsed.
    """
    with torch.no_grad():
        # A whole number: against a float, PyTorch would compare in float32.
        limit = math.floor(min_keep * mask.numel())
        collapsed = torch.count_nonzero(mask) <= limit
        # masked_fill, not a product: a threshold of inf must become 0, not NaN.
        thresholds.masked_fill_(collapsed, 0)
    return collapsed


def _broadcast(thresholds: Tensor, shape: list[int] | None) -> Tensor:
    return thresholds if shape is None else thresholds.view(shape)


def _grouped(weight: Tensor, shape: list[int] | None) -> Tensor:
    if shape is None or len(shape) == weight.ndim:
        return weight
    return weight.reshape(shape[0], -1, *weight.shape[1:])


class _StraightThroughStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (distance,) = ctx.saved_tensors
        size = distance.abs()
        far = torch.where(size <= 1, torch.full_like(size, 0.4), torch.zeros_like(size))
        return grad * torch.where(size <= 0.4, 2 - 4 * size, far)
