"""Cuts the channels of a network out that have no effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rggan_mm.analysis.calling import Images
from rggan_mm.errors import ConfigError
from rggan_mm.pruning.channel_groups import ChannelGroup, find_groups
from rggan_mm.pruning.layers import in_dim, list_layers

from .shrunk import load_shrunk
from .stock_weights import plain_state

COMPARED = 64  # samples
TOLERANCE = 1e-5  # of the largest value, or of 1


@dataclass(frozen=True)
class Cut:
    """The channels of one group.

    Attributes:
        layer: The layer that makes them.
        reader: The layer that reads them.
        channels: How many there were.
        left: How many are left.
    """

    layer: str
    reader: str
    channels: int
    left: int


def shrink(images: Images, compared: int = COMPARED) -> tuple[list[Cut], float]:
    """Cuts out what has no effect: channels of which nothing is read.

    Args:
        images: A network, baked (:func:`rggan_mm.export.baking.bake`) and in eval mode; changed
            in place. :func:`rggan_mm.export.shrunk.load_shrunk` loads its state dict.
        compared: Number of samples that are compared. Default: 64.

    Returns:
        What was cut, and the largest difference between images before and after.

    Raises:
        ConfigError: The images differ by more than 1e-5.
    """
    network = images.network
    inputs = images.example(1)
    groups = find_groups(network, lambda: images(*inputs))
    wanted = images.sample(compared)
    kept = {group: channels_read(network, group) for group in groups}
    load_shrunk(network, without_channels(network, kept))
    found = float((images.sample(compared) - wanted).abs().max())
    if not found <= TOLERANCE * max(1.0, float(wanted.abs().max())):
        raise ConfigError(
            f'--shrink: images of the smaller {type(network).__name__} differ by {found:.1e}'
        )
    cuts = [Cut(g.producer, g.consumer, len(k), int(k.sum())) for g, k in kept.items()]
    return cuts, found


def channels_read(network: nn.Module, group: ChannelGroup) -> Tensor:
    """Which channels of a group have an effect: True where the reader has a weight for them."""
    reader = network.get_submodule(group.consumer)
    read = (reader.weight != 0).transpose(0, in_dim(reader)).flatten(1).any(1)
    if not read.any():
        read[0] = True  # no layer computes with no channel
    return read


@torch.no_grad()
def without_channels(network: nn.Module, kept: Mapping[ChannelGroup, Tensor]) -> dict[str, Tensor]:
    """A network's state dict without some channels.

    Args:
        network: A network whose layers hold the weights that they multiply with.
        kept: Which channels stay, by group.
    """
    state = plain_state(network.state_dict())
    out_dims = {info.name: info.out_dim for info in list_layers(network)}

    def take(layer: str, name: str, dim: int, places: Tensor) -> None:
        key = f'{layer}.{name}'
        if key in state:
            state[key] = state[key].index_select(dim, places)

    for group, stays in kept.items():
        places = stays.nonzero().flatten().cpu()
        take(group.consumer, 'weight', in_dim(network.get_submodule(group.consumer)), places)
        for layer in (group.producer, *group.beside):
            embedding = isinstance(network.get_submodule(layer), nn.Embedding)
            take(layer, 'weight', 1 if embedding else out_dims[layer], places)
            take(layer, 'bias', 0, places)
        for layer in group.between:
            for name in _by_channel(network.get_submodule(layer), len(stays)):
                take(layer, name, 0, places)
    return state


def _by_channel(module: nn.Module, channels: int) -> Sequence[str]:
    own = {**module._parameters, **module._buffers}
    return [name for name, t in own.items() if t is not None and t.shape == (channels,)]
