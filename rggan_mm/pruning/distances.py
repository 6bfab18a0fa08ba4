"""How far the weights of a network are above their thresholds."""

import torch
from torch import Tensor

from .channel_rules import as_columns
from .magnitudes import magnitudes
from .masked_layers import MaskedLayer
from .sparse_network import SparseNetwork


@torch.no_grad()
def distances(network: SparseNetwork) -> dict[MaskedLayer, Tensor]:
    """|W| - t of the layers that have computed in this phase; of all, where none has."""
    layers = list(network.layers.values())
    layers = [layer for layer in layers if layer.kept is not None] or layers
    with network.without_masks():
        sizes = magnitudes([layer.info for layer in layers])
    pairs = zip(layers, sizes, strict=True)
    own = {layer: layer.rule.distance(size) for layer, size in pairs}
    found = dict(own)
    for layer in layers:
        if layer.reads is not None:  # a column is kept where its channel is
            by_channel = layer.reads.rule.by_channel(own[layer.reads])
            found[layer] = own[layer].minimum(as_columns(by_channel, layer.info, own[layer].ndim))
    return found
