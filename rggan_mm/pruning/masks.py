"""Masks, their gradients and the regulariser, as pure functions.

Source: Saxena et al., RG-GAN, AAAI 2024; the straight-through estimator is that
of Liu et al., Dynamic Sparse Training, ICLR 2020 (eq. 5).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError

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
    by_group = _grouped(weight.detach().abs(), shape)
    return (by_group > _broadcast(thresholds.detach(), shape)).reshape(weight.shape)


def exceeds(
    magnitude: Tensor, thresholds: Tensor, shape: list[int] | None = None, in_place: bool = False
) -> Tensor:
    """The mask as numbers 0 and 1, from a magnitude |W| that is computed already.

    Args:
        magnitude: |W|.
        thresholds: One per output channel.
        shape: As in :func:`keep_mask`.
        in_place: Whether ``magnitude`` may be overwritten. Default: False.

    Returns:
        Tensor of the shape and dtype of ``magnitude``, without gradient. Comparing into numbers
        and multiplying with them is vectorised on the CPU, with booleans it is not.
    """
    with torch.no_grad():
        by_group = _grouped(magnitude, shape)
        numbers = by_group if in_place else torch.empty_like(by_group)
        torch.gt(by_group, _broadcast(thresholds, shape), out=numbers)
        return numbers if by_group is magnitude else numbers.reshape(magnitude.shape)


def distances(magnitude: Tensor, thresholds: Tensor, shape: list[int] | None = None) -> Tensor:
    """|W| - t, which is above 0 where a weight is kept.

    Args:
        magnitude: |W|.
        thresholds: One per output channel.
        shape: As in :func:`keep_mask`.
    """
    return _grouped(magnitude, shape) - _broadcast(thresholds, shape)


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
        numbers: The mask as :func:`exceeds` gives it, where it is known already.

    Returns:
        Tensor of the weight's shape and dtype.
    """
    if numbers is None:
        numbers = exceeds(weight.detach().abs(), thresholds, shape, in_place=True)
    by_group = (_grouped(tensor, shape) for tensor in (weight, numbers))
    # A copy: the collapse guard may reset thresholds before the backward pass.
    mask = _StraightThroughStep.apply(*by_group, _broadcast(thresholds, shape).clone())
    return mask.reshape(weight.shape)


def regularizer_gradients(thresholds: Sequence[Tensor], lam: float | Tensor) -> list[Tensor]:
    """Gradients of the sparsity regulariser lam * sum(exp(-t)): -lam * exp(-t) each."""
    with torch.no_grad():
        gradients = torch._foreach_exp(torch._foreach_neg(thresholds))
        torch._foreach_mul_(gradients, -lam)
    return list(gradients)


def regularizer(thresholds: Sequence[Tensor], lam: float) -> Tensor:
    """Value of the sparsity regulariser, lam * sum(exp(-t)), as a 0-d tensor without gradient."""
    return -torch.stack(
        [gradient.sum() for gradient in regularizer_gradients(thresholds, lam)]
    ).sum()


def has_collapsed(mask: Tensor, min_keep: float) -> Tensor:
    """Whether a layer has collapsed, as a 0-d boolean tensor; without a synchronisation.

    Args:
        mask: The layer's mask; True or 1 = kept.
        min_keep: Keep ratio, in [0, 1), at or below which the layer counts as collapsed.
    """
    # An integer: against a float, PyTorch would compare in float32.
    return count_kept(mask) <= math.floor(min_keep * mask.numel())


def count_kept(mask: Tensor) -> Tensor:
    """Number of kept weights, exact, as a 0-d tensor.

    Args:
        mask: Booleans, or numbers 0 and 1.
    """
    if mask.dtype == torch.bool or mask.numel() > _EXACT_IN_FLOAT32:
        return torch.count_nonzero(mask)
    return mask.sum(dtype=torch.promote_types(mask.dtype, torch.float32))


def check_min_keep(value: float | None) -> float | None:
    """Returns the collapse guard's limit, or raises ConfigError outside [0, 1)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value) and 0 <= value < 1):
        raise ConfigError(f'min_keep={value!r} must be a number in [0, 1)')
    return value


def _broadcast(thresholds: Tensor, shape: list[int] | None) -> Tensor:
    return thresholds if shape is None else thresholds.view(shape)


def _grouped(weight: Tensor, shape: list[int] | None) -> Tensor:
    if shape is None or len(shape) == weight.ndim:
        return weight
    return weight.reshape(shape[0], -1, *weight.shape[1:])


class _StraightThroughStep(torch.autograd.Function):
    # Keeps tensors for the backward pass that exist already; nothing new of the weight's size.
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
