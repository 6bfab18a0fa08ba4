"""Makes a model's networks and their averages sparse."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mmengine.model import BaseAveragedModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from rggan_mm.pruning import SparseNetwork, attach_average, list_layers
from rggan_mm.pruning.mask_rules import MaskRule, ThresholdRule

from .channels import judge_channels
from .discovery import averaged_module, children_of, find_averages, find_networks, judge_layers


def attach(
    model: nn.Module,
    mode: str,
    networks: Sequence[str] | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    averages: Mapping[str, str] | None = None,
    optim_wrapper: OptimWrapper | OptimWrapperDict | None = None,
    rule: type[MaskRule] = ThresholdRule,
    granularity: str | Mapping[str, str] = 'weight',
) -> list[str]:
    """Attaches thresholds, or stored masks, to the networks of a model and to their averages.

    Args:
        model: The GAN, wrapped or not.
        mode: Threshold gradient, 'published' or 'ste'.
        networks: Names of the networks to prune; None (default): every trained one.
        include: Glob patterns of what to prune, as NETWORK.LAYER. None (default): everything.
        exclude: Glob patterns of what to leave dense.
        averages: Averaged copies by name, with the network that each one averages; None
            (default): found.
        optim_wrapper: The run's, where it trains; see :func:`judge_layers`.
        rule: Which weights are kept. Defaults to the published thresholds.
        granularity: As in :func:`judge_channels`.

    Returns:
        One line for the log on each child of the model that has layers.
    """
    found = find_networks(model, networks)
    judged = judge_layers(found, include, exclude, optim_wrapper)
    judged, groups = judge_channels(model, found, judged, granularity)
    copies = find_averages(model, found, averages)
    lines = []
    for name, infos in judged.items():
        layers = [info for info in infos if info.prunable]
        if layers:
            SparseNetwork(found[name], mode, layers=layers, rule=rule, groups=groups[name])
        left = Counter(info.reason for info in infos if not info.prunable)
        reasons = ''.join(f', {count} left dense ({reason})' for reason, count in left.items())
        whole = f' ({len(groups[name])} by channel)' if groups[name] else ''
        lines.append(f'{name}: {len(layers)} layers pruned{whole}{reasons}')
    for name, (average, source) in copies.items():
        sparse = SparseNetwork.of(found[source])
        if sparse is not None:
            _attach_average(average, sparse)
        lines.append(f'{name} averages {source}')
    return [*lines, *_left_alone(model, {*found, *copies})]


def _attach_average(average: nn.Module, source: SparseNetwork) -> None:
    module = averaged_module(average)
    attach_average(module, source)
    if isinstance(average, BaseAveragedModel):
        # It froze its list of parameters when it was built.
        average.avg_parameters = (
            module.state_dict() if average.update_buffers else dict(module.named_parameters())
        )


def _left_alone(model: nn.Module, known: set[str]) -> Iterator[str]:
    for name, child in children_of(model).items():
        if name not in known and any(layer.prunable for layer in list_layers(child)):
            yield f'{name}: left dense, it is neither trained nor an average of a pruned network'
