"""Mode 'ste': the lambda that prunes what is due beside the task's own gradient.

Adam divides by the root of its second moment, in which the task's gradient g counts as well: a
threshold rises by about lr * l / (sqrt(g^2 + l^2) + eps) per step, with l = lam * exp(-t). The
size of g differs a lot between layers, so it is measured layer by layer. Where the task moves
thresholds to in the mean is for the caller to see.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .masked_layers import MaskedLayer
from .thresholds import ThresholdOptimizer

# Of the largest task gradient; no threshold rises much faster for more.
_LARGEST = 3.0
_SMALLEST = 1e-3
_HALVINGS = 50

Gradients = Mapping[MaskedLayer, Tensor]


@torch.no_grad()
def task_gradients(optimizer: ThresholdOptimizer, layers: Sequence[MaskedLayer]) -> Gradients:
    """Squares of the task's gradients of each layer's thresholds, by Adam's memory.

    Args:
        optimizer: The thresholds' optimiser, with the lambda of its last steps.
        layers: Layers of its network; those without a step so far are left out.
    """
    first, second = optimizer.adam.param_groups[0]['betas']
    found = {}
    for layer in layers:
        state = optimizer.adam.state.get(layer.threshold)
        if state:
            own = layer.threshold.neg().exp() * optimizer.lam
            both = state['exp_avg_sq'] / (1 - second ** state['step'])
            newest = state['exp_avg'] / (1 - first ** state['step']) + own
            # Where lambda outweighs the task, the difference of the squares says nothing.
            outweighed = both < 2 * own.square()
            found[layer] = torch.where(outweighed, newest.square(), both - own.square())
    return found


def lam_beside(
    optimizer: ThresholdOptimizer,
    gradients: Gradients,
    sizes: Mapping[MaskedLayer, Tensor],
    share: float,
    steps: float,
) -> tuple[float, float]:
    """The lambda that leaves a share of the weights, but for what the task moves.

    Args:
        optimizer: The thresholds' optimiser.
        gradients: From :func:`task_gradients`.
        sizes: |W| - t of each layer.
        share: Wanted keep ratio.
        steps: Optimiser steps until then.

    Returns:
        Lambda, and the share that it leaves: more where no lambda leaves so little, less where
        less is left already.
    """
    settings = optimizer.adam.param_groups[0]
    way, eps = settings['lr'] * steps, settings['eps']

    def left(lam: float) -> float:
        kept = 0
        for layer, size in sizes.items():
            if layer in gradients:
                own = layer.threshold.detach().neg().exp() * lam
                speed = own / ((gradients[layer] + own.square()).sqrt() + eps)
                size = size - way * speed.mean()
            kept += int(torch.count_nonzero(size > 0))
        return kept / sum(size.numel() for size in sizes.values())

    largest = max((found.max().item() for found in gradients.values()), default=0.0)
    low, high = _SMALLEST * eps, _LARGEST * (math.sqrt(largest) + eps)
    if not gradients or left(low) <= share:
        return 0.0, left(0.0)
    for _ in range(_HALVINGS if left(high) < share else 0):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if left(middle) > share else (low, middle)
    # A task that pushes one way all the time gives in all at once: half of the way there.
    lam = math.sqrt(high * optimizer.lam) if optimizer.lam else high
    return lam, left(lam)


@torch.no_grad()
def settle_beside(optimizer: ThresholdOptimizer, gradients: Gradients, before: float) -> None:
    """Lets Adam remember this lambda in place of the one before, and the task as it was.

    Args:
        optimizer: The thresholds' optimiser, with the new lambda.
        gradients: From :func:`task_gradients`, with the lambda before.
        before: That lambda.
    """
    first, second = optimizer.adam.param_groups[0]['betas']
    for layer, squares in gradients.items():
        state = optimizer.adam.state[layer.threshold]
        size = layer.threshold.neg().exp()
        difference = size * (before - optimizer.lam)
        state['exp_avg'].add_(difference * (1 - first ** state['step']))
        both = squares + (size * optimizer.lam).square()
        state['exp_avg_sq'].copy_(both * (1 - second ** state['step']))
