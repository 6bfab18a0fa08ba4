"""What RG-GAN prunes in a config's model, and what it leaves dense for which reason."""

from collections import Counter
from dataclasses import dataclass

from mmengine.config import Config
from torch import nn

from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.channels import judge_channels
from rggan_mm.hooks.discovery import (
    averaged_module,
    children_of,
    find_averages,
    find_networks,
    judge_layers,
)
from rggan_mm.pruning import LayerInfo, list_layers

from .model_building import build_model, build_optimizers, hook_of

TRAINED = 'trained'


@dataclass(frozen=True)
class NetworkReport:
    """One network of a model.

    Attributes:
        name: Name of the model's child.
        role: 'trained', 'average of NETWORK' or 'not pruned'.
        layers: Every layer that owns a weight; those left dense carry the reason.
        parameters: Number of its parameters.
    """

    name: str
    role: str
    layers: list[LayerInfo]
    parameters: int

    @property
    def pruned(self) -> list[LayerInfo]:
        """The layers that are pruned."""
        return [info for info in self.layers if info.prunable]

    @property
    def prunable_weights(self) -> int:
        """Number of weights in pruned layers; one that two layers share counts once."""
        return sum({id(info.stored): info.stored.numel() for info in self.pruned}.values())

    def classes(self) -> Counter:
        """How many pruned layers there are of each class."""
        return Counter(type(info.module).__name__ for info in self.pruned)

    def reasons(self) -> Counter:
        """How many layers are left dense, by (class, reason)."""
        return Counter(
            (type(info.module).__name__, info.reason) for info in self.layers if not info.prunable
        )


def inspect_config(config: Config) -> list[NetworkReport]:
    """Builds a config's model and says what its RG hooks would prune.

    Args:
        config: Any config of a GAN; without DynamicPruningHook, that hook's defaults count.

    Returns:
        One report per network of the model that owns layers, averages included.

    Raises:
        ConfigError: No model, nothing prunable, or names that the model lacks.
    """
    hook = hook_of(config, DynamicPruningHook) or DynamicPruningHook()
    model = build_model(config)
    networks = find_networks(model, hook.chosen['networks'])
    optimizers = build_optimizers(config, model)
    judged = judge_layers(networks, hook.chosen['include'], hook.chosen['exclude'], optimizers)
    judged, _ = judge_channels(model, networks, judged, hook.granularity)
    averages = find_averages(model, networks, hook.chosen['averages'])
    reports = []
    for name, child in children_of(model).items():
        if name in networks:
            reports.append(_report(name, TRAINED, judged[name], child))
        elif name in averages:
            source = averages[name][1]
            reports.append(_report(name, f'average of {source}', judged[source], child))
        elif list_layers(child):
            reports.append(_report(name, 'not pruned', list_layers(child), child))
    return reports


def _report(name: str, role: str, layers: list[LayerInfo], child: nn.Module) -> NetworkReport:
    size = sum(parameter.numel() for parameter in averaged_module(child).parameters())
    return NetworkReport(name, role, layers, size)
