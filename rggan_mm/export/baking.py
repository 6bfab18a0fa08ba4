"""Networks whose layers hold the weights that they multiply with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rggan_mm.pruning import SparseNetwork, list_layers
from rggan_mm.pruning.folding import masked_weights
from rggan_mm.pruning.layers import computing_weight

from .shrunk import hold_plainly


@torch.no_grad()
def bake(network: nn.Module) -> None:
    """Gives each layer its weight as in evaluation, masked, as a plain parameter.

    Spectral norms, equalised learning rates and thresholds are gone, so that the
    network can be traced, but its weights fit the stock network no longer.

    Args:
        network: A network in eval mode, changed in place; sparse or not.
    """
    parts = [SparseNetwork.of(module) for module in network.modules()]
    weights: dict[int, Tensor] = {}
    for sparse in filter(None, parts):
        for name, (weight, _) in masked_weights(sparse).items():
            weights[id(sparse.layers[name].info.module)] = weight
        sparse.detach()
    for info in list_layers(network):
        if not info.parameter:
            continue
        found = weights.get(id(info.module))
        hold_plainly(info.module, computing_weight(info).detach() if found is None else found)
