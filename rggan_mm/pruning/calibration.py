"""Between lambda, steps, thresholds and keep ratios: closed forms, and counts of weights.

In sparse phases the regulariser gives each threshold t the gradient -lam * exp(-t)
('published' mode). Adam turns a gradient g that hardly changes into a step of
lr * |g| / (|g| + eps), so dt/dn = lr * lam * exp(-t) / (lam * exp(-t) + eps), and after
n steps from 0

    n * lr = t + (eps / lam) * (exp(t) - 1).

Only lam / eps matters, and no threshold outruns lr per step, however large lam is.

How good this is, against torch's Adam: the relative error is less than t / 2 (2.5 % for a
threshold of 0.05) whatever the betas are; Adam's averages of past gradients lag behind
the shrinking gradient and make the threshold slower. For the published betas (0, 0.9) it
is at most 0.3 % up to lr 2e-4. For betas (0.9, 0.999) it is 0.1 % at lam = 1e-9, but 4 %
at lam = 1 after 1,000 steps of lr 2e-4 and 12 % after 5,000.

Limits of float32, which thresholds usually have: each step is rounded to the threshold's
last digit, by up to n / 2**24 of it (0.5 % over 79,000 steps, 5 % over 800,000), and after
some 2**24 to 2**25 steps in which t grew evenly it stands still. The gradient
keeps its digits down to lam = 1e-38. Its square overflows above lam = 1e19, and the
threshold stops; that it loses digits below lam = 1e-19 does no harm as long as eps is
above 1e-20.

Dense phases, in which thresholds rest, and resets by the collapse guard are for the caller
to take off the number of steps.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rggan_mm.errors import ConfigError

from .thresholds import EPS, LR, check_lam

# Where float32 loses the gradient, and where its square overflows.
_SMALLEST_LAM = 1e-38
_LARGEST_LAM = 1e19
# No weight comes near; exp would overflow at 709.
_LARGEST_THRESHOLD = 100.0
_NEWTON_STEPS = 60


def threshold_after(steps: float, lam: float, lr: float = LR, eps: float = EPS) -> float:
    """The threshold that a number of steps reaches from 0.

    Args:
        steps: Optimiser steps in sparse phases, above 0.
        lam: Weight lambda of the regulariser, in [0, 1e19].
        lr: Learning rate of the thresholds, above 0. Defaults to the published 2e-4.
        eps: Adam's eps, above 0. Defaults to 1e-8.

    Raises:
        ConfigError: A number out of its range.
    """
    way = _way(steps, lr, eps)
    if check_lam(lam) > _LARGEST_LAM:
        raise ConfigError(f'lam={lam!r} must be at most 1e19; its square overflows float32')
    # Newton from above, where the convex left side minus n * lr is not negative.
    t = min(way, math.log1p(way * lam / eps))
    for _ in range(_NEWTON_STEPS):
        excess = lam * (t - way) + eps * math.expm1(t)
        t = max(0.0, t - excess / (lam + eps * math.exp(t)))
    return t


def lam_for(threshold: float, steps: float, lr: float = LR, eps: float = EPS) -> float:
    """The lambda with which a number of steps reaches a threshold.

    Close to the largest reachable threshold, lr * steps, lambda grows without limit and
    says little.

    Args:
        threshold: Wanted threshold, in (0, 100].
        steps: Optimiser steps in sparse phases, above 0.
        lr: Learning rate of the thresholds, above 0. Defaults to the published 2e-4.
        eps: Adam's eps, above 0. Defaults to 1e-8.

    Raises:
        ConfigError: A number out of its range, or a threshold that no lambda reaches.
    """
    way = _way(steps, lr, eps)
    if _positive('threshold', threshold, _LARGEST_THRESHOLD) >= way:
        raise ConfigError(
            f'threshold={threshold:.6g} is out of reach: {steps:.10g} steps of lr={lr:g} stay '
            f'below {way:.6g} whatever lam is; raise lr above {threshold / steps:.3g} or train '
            f'more than {math.ceil(threshold / lr)} steps'
        )
    return eps * math.expm1(threshold) / (way - threshold)


def steps_for(threshold: float, lam: float, lr: float = LR, eps: float = EPS) -> int:
    """The number of steps after which a threshold is reached.

    Args:
        threshold: Wanted threshold, in (0, 100].
        lam: Weight lambda of the regulariser, at least 1e-38.
        lr: Learning rate of the thresholds, above 0. Defaults to the published 2e-4.
        eps: Adam's eps, above 0. Defaults to 1e-8.

    Raises:
        ConfigError: A number out of its range.
    """
    _positive('threshold', threshold, _LARGEST_THRESHOLD)
    if check_lam(lam) < _SMALLEST_LAM:
        raise ConfigError(f'lam={lam!r} never moves a threshold; it must be at least 1e-38')
    slowed = _positive('eps', eps) / lam * math.expm1(threshold)
    return math.ceil((threshold + slowed) / _positive('lr', lr))


def _way(steps: float, lr: float, eps: float) -> float:
    """How far the thresholds could come; all three numbers checked."""
    _positive('eps', eps)
    return _positive('steps', steps) * _positive('lr', lr)


def _positive(name: str, value: float, largest: float = math.inf) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and 0 < value <= largest):
        limit = '' if math.isinf(largest) else f' and at most {largest:g}'
        raise ConfigError(f'{name}={value!r} must be a finite number above 0{limit}')
    return value


def threshold_for_keep_ratio(magnitudes: Sequence[Tensor], share: float) -> float:
    """The one threshold for all layers at which a network keeps a share of its weights.

    Args:
        magnitudes: From :func:`.magnitudes.magnitudes`.
        share: Wanted share of |W| > t, in (0, 1).

    Raises:
        ConfigError: ``share`` outside (0, 1), or more weights than that are 0.
    """
    if not 0 < share < 1:
        raise ConfigError(f'keep_ratio={share!r} must be a number above 0 and below 1')
    threshold = value_to_exceed(magnitudes, share)
    if threshold == 0:
        kept = keep_ratio_at(magnitudes, 0.0)
        raise ConfigError(
            f'keep_ratio={share!r}: only {kept:.1%} of the weights are not 0 to begin with'
        )
    return threshold


def value_to_exceed(values: Sequence[Tensor], share: float) -> float:
    """The value that a share of all numbers exceeds.

    Args:
        values: Tensors of numbers.
        share: Wanted share, in (0, 1).
    """
    every = torch.cat([value.flatten() for value in values])
    below = min(max(round(every.numel() * (1 - share)), 1), every.numel() - 1)
    return every.kthvalue(below).values.item()


def keep_ratio_at(magnitudes: Sequence[Tensor], threshold: float) -> float:
    """Share of all weights with |W| > t."""
    return sum(_kept(size, threshold) for size in magnitudes) / sum(
        size.numel() for size in magnitudes
    )


def collapsed_layers(weights: Sequence[Tensor], threshold: float, min_keep: float) -> int:
    """Number of layers that the collapse guard would reset at this threshold.

    Args:
        weights: |W| of each layer, from :func:`magnitudes`.
        threshold: Threshold of all layers.
        min_keep: The guard's limit, in [0, 1).
    """
    return sum(_kept(w, threshold) <= math.floor(min_keep * w.numel()) for w in weights)


def _kept(weight: Tensor, threshold: float) -> int:
    return int(torch.count_nonzero(weight > threshold))
