"""How large the weights are that layers multiply with, without a forward of the network."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .layers import LayerInfo, computing_weight

# A spectral norm starts from random vectors and takes about one step per forward.
_MOST_POWER_ITERATIONS = 20


def magnitudes(layers: Iterable[LayerInfo]) -> list[Tensor]:
    """|W| of each layer with the weight that it multiplies with.

    No forward of the network is needed: the layer's own pre-hooks, parametrization or
    method make the weight (equalised learning rate, fused kernels, spectral norm). Spectral
    norms are brought to rest for it; the layers are left as they were.

    Args:
        layers: Prunable layers; those of a sparse network in its dense phase.
    """
    return [_magnitude(layer) for layer in layers]


@torch.no_grad()
def _magnitude(layer: LayerInfo) -> Tensor:
    with _left_alone(layer.module):
        layer.module.train()
        weight = computing_weight(layer)
        for _ in range(_MOST_POWER_ITERATIONS):
            before, weight = weight, computing_weight(layer)
            if torch.equal(before, weight):
                break
        return weight.detach().abs()


@contextmanager
def _left_alone(module: nn.Module) -> Iterator[None]:
    """Gives a layer copies of its buffers for a while; then its own ones and its mode are back."""
    parts = [(part, part.training, dict(part._buffers)) for part in module.modules()]
    for part, _, buffers in parts:
        part._buffers.update({n: b.clone() for n, b in buffers.items() if b is not None})
    try:
        yield
    finally:
        for part, training, buffers in parts:
            part.training = training
            part._buffers.update(buffers)
