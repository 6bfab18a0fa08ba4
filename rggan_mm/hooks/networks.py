"""Finds a model's trained networks, their averages and their optimisers."""

from collections.abc import Iterable, Sequence

from mmengine.model import BaseAveragedModel, BaseDataPreprocessor, is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, list_layers


def unwrap(module: nn.Module) -> nn.Module:
    """Returns the module inside distributed wrappers."""
    while is_model_wrapper(module):
        module = module.module
    return module


def find_networks(model: nn.Module, names: Sequence[str] | None = None) -> dict[str, nn.Module]:
    """The networks of a model that are trained and have something to prune.

    Args:
        model: The GAN, wrapped or not.
        names: Children to take; None takes every trained one.

    Returns:
        Modules by name.

    Raises:
        ConfigError: A name that the model lacks, or nothing to prune.
    """
    children = _children(model)
    trained = {name: child for name, child in children.items() if _is_trained(child)}
    for name in names or ():
        if name not in children:
            raise ConfigError(
                f'networks={list(names)}: the model has no network {name!r}; '
                f'it has: {", ".join(trained)}'
            )
    chosen = trained if names is None else {name: children[name] for name in names}
    prunable = {name: net for name, net in chosen.items() if _has_prunable(net)}
    missing = [] if names is None else [name for name in names if name not in prunable]
    if not prunable or missing:
        raise ConfigError(
            f'{type(unwrap(model)).__name__}: nothing is prunable in '
            f'{", ".join(missing or chosen) or "it"}; RG-GAN needs convolutions or linear layers'
        )
    return prunable


def find_averages(
    model: nn.Module, networks: dict[str, nn.Module]
) -> dict[str, tuple[BaseAveragedModel, str]]:
    """The averaged copies of networks inside a model.

    Args:
        model: The GAN, wrapped or not.
        networks: From :func:`find_networks`.

    Returns:
        By name: the averaged model and the name of the network that it averages.
    """
    averages = {}
    for name, child in _children(model).items():
        if isinstance(child, BaseAveragedModel):
            source = _source_of(name, child, networks)
            if source is not None:
                averages[name] = (child, source)
    return averages


def find_optimizers(
    optim_wrapper: OptimWrapper | OptimWrapperDict, network: nn.Module
) -> list[OptimWrapper]:
    """The optimiser wrappers that train a network, once each."""
    own = {id(parameter) for parameter in network.parameters()}
    found = {
        id(wrapper.optimizer): wrapper
        for wrapper in _wrappers(optim_wrapper)
        if any(id(p) in own for group in wrapper.optimizer.param_groups for p in group['params'])
    }
    return list(found.values())


def sparse_networks(model: nn.Module) -> dict[str, SparseNetwork]:
    """The sparse networks attached to a model, averages included, by name."""
    children = {
        name: child.module if isinstance(child, BaseAveragedModel) else child
        for name, child in _children(model).items()
    }
    found = {name: SparseNetwork.of(child) for name, child in children.items()}
    return {name: network for name, network in found.items() if network is not None}


def trained_sparse_networks(model: nn.Module) -> dict[str, SparseNetwork]:
    """As :func:`sparse_networks`, without the averages."""
    children = _children(model)
    return {
        name: network
        for name, network in sparse_networks(model).items()
        if not isinstance(children[name], BaseAveragedModel)
    }


def _children(model: nn.Module) -> dict[str, nn.Module]:
    return {name: unwrap(child) for name, child in unwrap(model).named_children()}


def _is_trained(child: nn.Module) -> bool:
    if isinstance(child, (BaseAveragedModel, BaseDataPreprocessor)):
        return False
    return any(parameter.requires_grad for parameter in child.parameters())


def _has_prunable(network: nn.Module) -> bool:
    return any(layer.prunable for layer in list_layers(network))


def _source_of(name: str, average: BaseAveragedModel, networks: dict[str, nn.Module]) -> str | None:
    names = _parameter_shapes(average.module)
    same = [key for key, network in networks.items() if _parameter_shapes(network) == names]
    # Two networks of one shape (CycleGAN) are told apart by name.
    by_name = [key for key in same if name.startswith(key)]
    return next(iter(by_name or same), None)


def _parameter_shapes(network: nn.Module) -> dict:
    return {name: parameter.shape for name, parameter in network.named_parameters()}


def _wrappers(optim_wrapper: OptimWrapper | OptimWrapperDict) -> Iterable[OptimWrapper]:
    if isinstance(optim_wrapper, OptimWrapperDict):
        return optim_wrapper.values()
    return [optim_wrapper]
