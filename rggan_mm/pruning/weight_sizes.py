"""How large weights are as their layers compute with them, and what a threshold keeps."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from rggan_mm.errors import ConfigError

from .layers import LayerInfo

# A spectral norm starts from random vectors and takes about one step per forward.
_MOST_POWER_ITERATIONS = 20


def weight_sizes(layers: Iterable[LayerInfo]) -> list[Tensor]:
    """|W| of each layer with the weight that it multiplies with, flattened.

    No forward of the network is needed: the layer's own pre-hooks, parametrization or
    method make the weight (equalised learning rate, fused kernels, spectral norm). Spectral
    norms are brought to rest first, which changes their buffers as some training would.

    Args:
        layers: Prunable layers of a network without thresholds. They are put into
            training mode.
    """
    return [_size(layer) for layer in layers]


def threshold_keeping(sizes: Sequence[Tensor], share: float) -> float:
    """The one threshold for all layers at which a network keeps a share of its weights.

    Args:
        sizes: From :func:`weight_sizes`.
        share: Wanted share of |W| > t, in (0, 1).

    Raises:
        ConfigError: ``share`` outside (0, 1), or more weights than that are 0.
    """
    if not 0 < share < 1:
        raise ConfigError(f'keep_ratio={share!r} must be a number above 0 and below 1')
    every = torch.cat(list(sizes))
    pruned = min(max(round(every.numel() * (1 - share)), 1), every.numel() - 1)
    threshold = every.kthvalue(pruned).values.item()
    if threshold == 0:
        kept = kept_share(sizes, 0.0)
        raise ConfigError(
            f'keep_ratio={share!r}: only {kept:.1%} of the weights are not 0 to begin with'
        )
    return threshold


def kept_share(sizes: Sequence[Tensor], threshold: float) -> float:
    """Share of all weights with |W| > t."""
    return sum(_kept(size, threshold) for size in sizes) / sum(size.numel() for size in sizes)


def collapsed_layers(sizes: Sequence[Tensor], threshold: float, min_keep: float) -> int:
    """Number of layers that the collapse guard would reset at this threshold.

    Args:
        sizes: From :func:`weight_sizes`.
        threshold: Threshold of all layers.
        min_keep: The guard's limit, in [0, 1).
    """
    return sum(_kept(size, threshold) <= math.floor(min_keep * size.numel()) for size in sizes)


def _kept(size: Tensor, threshold: float) -> int:
    return int(torch.count_nonzero(size > threshold))


@torch.no_grad()
def _size(layer: LayerInfo) -> Tensor:
    layer.module.train()
    weight = _computing_weight(layer)
    for _ in range(_MOST_POWER_ITERATIONS):
        before, weight = weight, _computing_weight(layer)
        if torch.equal(before, weight):
            break
    return weight.detach().abs().flatten()


def _computing_weight(layer: LayerInfo) -> Tensor:
    module = layer.module
    if layer.source == 'method':
        return module.sn_weight()
    if layer.source == 'attribute' and layer.parameter != 'weight':
        # They make module.weight out of what is stored, and look at no input.
        for hook in module._forward_pre_hooks.values():
            hook(module, ())
    return module.weight
