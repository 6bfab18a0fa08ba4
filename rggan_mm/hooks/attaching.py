"""Makes a model's networks and their averages sparse."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mmengine.model import BaseAveragedModel
from mmengine.optim import OptimWrapper
from torch import nn

from rggan_mm.pruning import LayerInfo, SparseNetwork, list_layers

from .discovery import averaged_module, children_of, find_averages, find_networks, judge_layers


def attach(
    model: nn.Module,
    mode: str,
    networks: Sequence[str] | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    averages: Mapping[str, str] | None = None,
) -> list[str]:
    """Attaches thresholds to the networks of a model that are to be pruned.

    Args:
        model: The GAN, wrapped or not.
        mode: Threshold gradient, 'published' or 'ste'.
        networks: As in :func:`find_networks`.
        include: As in :func:`judge_layers`.
        exclude: As in :func:`judge_layers`.
        averages: As in :func:`find_averages`.

    Returns:
        One line for the log on each child of the model that has layers.

    Raises:
        ConfigError: As those functions.
    """
    found = find_networks(model, networks)
    judged = judge_layers(found, include, exclude)
    copies = find_averages(model, found, averages)
    lines = [_attach_network(name, found[name], mode, infos) for name, infos in judged.items()]
    for name, (average, source) in copies.items():
        sparse = SparseNetwork.of(found[source])
        if sparse is not None:
            _attach_average(average, sparse)
        lines.append(f'{name} averages {source}')
    return [*lines, *_left_alone(model, {*found, *copies})]


def take_out_thresholds(wrapper: OptimWrapper, networks: Sequence[SparseNetwork]) -> None:
    """Leaves thresholds to their own optimiser where a test before training added them."""
    own = {id(t) for network in networks for t in network.thresholds.values()}
    for group in wrapper.optimizer.param_groups:
        group['params'] = [p for p in group['params'] if id(p) not in own]


def _attach_network(name: str, network: nn.Module, mode: str, infos: list[LayerInfo]) -> str:
    layers = [info for info in infos if info.prunable]
    if layers:
        SparseNetwork(network, mode, layers=layers)
    left = Counter(info.reason for info in infos if not info.prunable)
    reasons = ''.join(f', {count} left dense ({reason})' for reason, count in left.items())
    return f'{name}: {len(layers)} layers pruned{reasons}'


def _attach_average(average: nn.Module, source: SparseNetwork) -> None:
    module = averaged_module(average)
    layers = [info for info in list_layers(module) if info.name in source.layers]
    sparse = SparseNetwork(module, source.mode, layers=layers)
    sparse.averaged = True
    for threshold in sparse.thresholds.values():
        threshold.requires_grad_(False)
    if isinstance(average, BaseAveragedModel):
        # It froze its list of parameters when it was built.
        average.avg_parameters = (
            module.state_dict() if average.update_buffers else dict(module.named_parameters())
        )


def _left_alone(model: nn.Module, known: set[str]) -> Iterator[str]:
    for name, child in children_of(model).items():
        if name not in known and any(layer.prunable for layer in list_layers(child)):
            yield f'{name}: left dense, it is neither trained nor an average of a pruned network'
