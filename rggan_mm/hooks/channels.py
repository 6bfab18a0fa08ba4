"""Which layers of a model's networks are pruned by whole channels."""

from collections.abc import Mapping, Sequence

from torch import nn

from rggan_mm.analysis.calling import Images, image_size
from rggan_mm.errors import ConfigError
from rggan_mm.pruning.channel_groups import ChannelGroup, choose_channels, find_groups
from rggan_mm.pruning.layers import LayerInfo
from rggan_mm.pruning.strength import of_network

_EXAMPLES = 2


def judge_channels(
    model: nn.Module,
    networks: Mapping[str, nn.Module],
    judged: Mapping[str, Sequence[LayerInfo]],
    granularity: str | Mapping[str, str],
) -> tuple[dict[str, list[LayerInfo]], dict[str, list[ChannelGroup]]]:
    """Finds the channels to prune, and leaves other layers dense where that is wanted.

    Args:
        model: The GAN.
        networks: The networks to prune, by name.
        judged: Their layers; those that are not wanted carry the reason.
        granularity: 'weight', 'channel' (other layers dense) or 'mixed' (other layers by
            weight), or one by network.

    Returns:
        The layers, and the groups of channels to prune, by network.

    Raises:
        ConfigError: A network without channels that can be cut, or that cannot be called.
    """
    layers = {name: list(infos) for name, infos in judged.items()}
    groups: dict[str, list[ChannelGroup]] = {name: [] for name in judged}
    for name, infos in judged.items():
        own = of_network('granularity', granularity, name)
        if own != 'weight':
            found = groups_of(model, networks[name])
            layers[name], groups[name] = choose_channels(name, infos, found, own == 'mixed')
    return layers, groups


def groups_of(model: nn.Module, network: nn.Module) -> list[ChannelGroup]:
    """The channels of one network that can be cut; see :func:`.find_groups`.

    Raises:
        ConfigError: It is not called with latents, labels or images alone.
    """
    if isinstance(network, nn.ModuleDict):
        found = {key: groups_of(model, member) for key, member in network.items()}
        return [_below(key, group) for key, groups in found.items() for group in groups]
    size = {} if image_size(model) is None else {'size': image_size(model)}
    device = next(network.parameters()).device
    try:
        images = Images(network, **size)
        inputs = [value.to(device) for value in images.example(_EXAMPLES)]
        return find_groups(network, lambda: images(*inputs))
    except Exception as error:  # whatever a network raises that is called otherwise
        raise ConfigError(
            f'granularity: {type(network).__name__} cannot be called to find its channels: {error}'
        ) from error


def _below(key: str, group: ChannelGroup) -> ChannelGroup:
    return ChannelGroup(
        f'{key}.{group.producer}',
        f'{key}.{group.consumer}',
        tuple(f'{key}.{name}' for name in group.between),
        tuple(f'{key}.{name}' for name in group.beside),
    )
