"""Bakes masks into weights, so that a network computes masked without hooks."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError

from .channel_rules import as_columns
from .layers import LayerInfo, computing_weight
from .masked_layers import MaskedLayer
from .sparse_network import SparseNetwork

# Of the largest weight: rounding of a spectral norm's scale.
_TOLERANCE = 1e-5


@torch.no_grad()
def fold(networks: Iterable[SparseNetwork]) -> None:
    """Sets the weights that are masked now to 0 in the stored weights.

    Hooks, and thresholds or masks, stay; see :meth:`SparseNetwork.detach`. In eval mode a folded
    network computes what the sparse one computed. Under PyTorch's spectral norms, whose scale
    the zeros would change, the stored left singular vector makes up for it until the next step
    of training. Networks in a dense phase are left as they are.

    Args:
        networks: Sparse networks.

    Raises:
        ConfigError: A layer whose stored weight cannot hold the zeros; all networks are
            as they were then.
    """
    saved: list[tuple[Tensor, Tensor]] = []
    try:
        for network in networks:
            masked = masked_weights(network) if network.sparse else {}
            for name, (weight, mask) in masked.items():
                info = network.layers[name].info
                saved += [(tensor, tensor.clone()) for tensor in _stored(info)]
                with _plainly_computing(network, info.module):
                    _fold_layer(name, info, weight, mask)
    except ConfigError:
        for tensor, value in reversed(saved):
            tensor.copy_(value)
        raise


@torch.no_grad()
def masked_weights(network: SparseNetwork) -> dict[str, tuple[Tensor, Tensor]]:
    """What a network multiplies with in eval mode, made without a forward of it.

    Args:
        network: A sparse network; it stays as it is.

    Returns:
        Masked weight and mask by name of the layer; all True in a dense phase.
    """
    if network.same_channels:
        network.same_channels.set()
    weights, own = {}, {}
    for name, layer in network.layers.items():
        with _plainly_computing(network, layer.info.module):
            weight = computing_weight(layer.info).detach().clone()
        weights[name] = weight
        own[layer] = (
            layer.rule.settled(weight) if network.sparse else torch.ones_like(weight).bool()
        )
    masks = {name: _with_columns(layer, own) for name, layer in network.layers.items()}
    return {name: (weight * masks[name], masks[name]) for name, weight in weights.items()}


def _with_columns(layer: MaskedLayer, own: dict[MaskedLayer, Tensor]) -> Tensor:
    """A layer's mask without the columns of pruned channels."""
    mask = own[layer]
    if layer.reads is None:
        return mask
    by_channel = layer.reads.rule.by_channel(own[layer.reads])
    return mask & as_columns(by_channel, layer.info, mask.ndim)


def _fold_layer(name: str, info: LayerInfo, wanted: Tensor, mask: Tensor) -> None:
    if mask.shape == info.stored.shape:
        info.stored.mul_(mask)
        _rescale(info, wanted)
    tolerance = _TOLERANCE * float(wanted.abs().max())
    found = computing_weight(info)
    if not torch.allclose(found, wanted, rtol=0, atol=tolerance):
        raise ConfigError(
            f'fold: {name} ({type(info.module).__name__}) makes another weight out of the stored '
            'one in each forward, which cannot hold the zeros of its mask; leave the layer dense '
            f'(exclude=[{name!r}]) or do without folding'
        )


def _rescale(info: LayerInfo, wanted: Tensor) -> None:
    """Takes the change of a spectral norm's scale into its left singular vector."""
    vectors = _singular_vectors(info.module)
    peak = wanted.abs().argmax()
    if vectors and wanted.flatten()[peak] != 0:
        vectors[0].mul_(computing_weight(info).flatten()[peak] / wanted.flatten()[peak])


def _stored(info: LayerInfo) -> list[Tensor]:
    return [info.stored, *_singular_vectors(info.module)]


def _singular_vectors(module: nn.Module) -> list[Tensor]:
    """Buffer u of PyTorch's spectral norms, the old or the new style."""
    names = ('weight_u', '_u')
    return [
        buffer
        for name, buffer in module.named_buffers()
        if name.rpartition('.')[2] in names and 'original' not in name
    ]


@contextmanager
def _plainly_computing(network: SparseNetwork, module: nn.Module) -> Iterator[None]:
    """Lets a layer make its weight without a mask, and as in evaluation."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with network.without_masks():
            yield
    finally:
        for part in training:
            part.training = True
