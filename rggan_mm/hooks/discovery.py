"""Finds a model's trained networks, their averages and their optimisers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmengine.model import BaseAveragedModel, BaseDataPreprocessor
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from rggan_mm.close_names import did_you_mean
from rggan_mm.errors import ConfigError
from rggan_mm.pruning import LayerInfo, SparseNetwork, list_layers
from rggan_mm.pruning.layers import apply_patterns
from rggan_mm.pruning.optimizers import frozen_parameters
from rggan_mm.training.hook_base import unwrap

PLAIN_AVERAGE = '_ema'


def children_of(model: nn.Module) -> dict[str, nn.Module]:
    """A model's children by name, model and children outside distributed wrappers."""
    return {name: unwrap(child) for name, child in unwrap(model).named_children()}


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
    children = children_of(model)
    trained = {name: child for name, child in children.items() if _is_trained(name, children)}
    known = {n: c for n, c in children.items() if not isinstance(c, BaseDataPreprocessor)}
    refuse_unknown('networks', names or (), known)
    chosen = trained if names is None else {name: children[name] for name in names}
    prunable = {name: net for name, net in chosen.items() if _has_prunable(net)}
    missing = [] if names is None else [name for name in names if name not in prunable]
    if not prunable or missing:
        raise ConfigError(
            f'{type(unwrap(model)).__name__}: nothing is prunable in '
            f'{", ".join(missing or chosen) or "it"}; RG-GAN needs convolutions or linear layers'
        )
    return prunable


def judge_layers(
    networks: dict[str, nn.Module],
    include: Sequence[str] | None,
    exclude: Sequence[str],
    optim_wrapper: OptimWrapper | OptimWrapperDict | None = None,
) -> dict[str, list[LayerInfo]]:
    """Every layer of some networks; those to leave dense carry the reason.

    Args:
        networks: From :func:`find_networks`.
        include: Glob patterns of what to prune, as NETWORK.LAYER; None: everything.
        exclude: Glob patterns of what to leave dense.
        optim_wrapper: The run's, where it trains: layers whose learning rate is 0 stay dense.

    Returns:
        Layers by name of the network.

    Raises:
        ConfigError: A pattern that matches nothing, nothing left to prune, or a layer that
            two networks share.
    """
    frozen = _without_rate(optim_wrapper)
    names = {
        (network, info.name): _unless_frozen(info, frozen)
        for network, module in networks.items()
        for info in list_layers(module)
    }
    full = {_join(*key): info for key, info in names.items()}
    judged = apply_patterns(full, include, exclude)
    if not any(info.prunable for info in judged.values()):
        raise ConfigError(
            f'include={include}, exclude={exclude}: nothing is left to prune in '
            f'{", ".join(networks)}'
        )
    by_network = {
        network: [judged[_join(*key)] for key in names if key[0] == network] for network in networks
    }
    _refuse_shared(by_network)
    return by_network


def find_averages(
    model: nn.Module, networks: dict[str, nn.Module], named: Mapping[str, str] | None = None
) -> dict[str, tuple[nn.Module, str]]:
    """The averaged copies of networks inside a model.

    Args:
        model: The GAN, wrapped or not.
        networks: From :func:`find_networks`.
        named: Average by name of the child, with the network that it averages, where the
            config says so.

    Returns:
        By name: the child and the name of the network that it averages.

    Raises:
        ConfigError: A name that the model lacks, or a copy of another shape.
    """
    children = children_of(model)
    refuse_unknown('averages', named or (), children)
    averages = {}
    for name, child in children.items():
        source = _source_of(name, child, networks)
        if source is not None and _may_average(name, child):
            averages[name] = (child, source)
    for name, source in (named or {}).items():
        refuse_unknown('averages', [source], networks)
        if _parameter_shapes(averaged_module(children[name])) != _parameter_shapes(
            networks[source]
        ):
            raise ConfigError(f'averages: {name!r} has other parameters than {source!r}')
        averages[name] = (children[name], source)
    return averages


def averaged_module(child: nn.Module) -> nn.Module:
    """The network inside MMEngine's averaged model, or a plain average itself."""
    return child.module if isinstance(child, BaseAveragedModel) else child


def find_optimizers(
    optim_wrapper: OptimWrapper | OptimWrapperDict,
    network: nn.Module,
    keys: Sequence[str] | None = None,
) -> list[OptimWrapper]:
    """The optimiser wrappers that train a network, once each.

    Args:
        optim_wrapper: The run's.
        network: The network.
        keys: Names of those to take; None: all that hold one of its parameters.

    Returns:
        Optimiser wrappers; may be empty.

    Raises:
        ConfigError: A key that ``optim_wrapper`` lacks.
    """
    wrappers = _wrappers(optim_wrapper)
    refuse_unknown('optimizers', keys or (), wrappers)
    own = {id(parameter) for parameter in network.parameters()}
    found = {
        id(wrapper.optimizer): wrapper
        for key, wrapper in wrappers.items()
        if (keys is None or key in keys)
        and any(id(p) in own for group in wrapper.optimizer.param_groups for p in group['params'])
    }
    return list(found.values())


def sparse_networks(model: nn.Module) -> dict[str, SparseNetwork]:
    """The sparse networks attached to a model, averages included, by name."""
    found = {
        name: SparseNetwork.of(averaged_module(child)) for name, child in children_of(model).items()
    }
    return {name: network for name, network in found.items() if network is not None}


def trained_sparse_networks(model: nn.Module) -> dict[str, SparseNetwork]:
    """As :func:`sparse_networks`, without the averages."""
    children = children_of(model)
    return {
        name: network
        for name, network in sparse_networks(model).items()
        if not network.averaged and not _is_average(name, children)
    }


def _is_trained(name: str, children: dict[str, nn.Module]) -> bool:
    child = children[name]
    if isinstance(child, BaseDataPreprocessor) or _is_average(name, children):
        return False
    return any(parameter.requires_grad for parameter in child.parameters())


def _has_prunable(network: nn.Module) -> bool:
    return any(layer.prunable for layer in list_layers(network))


def _without_rate(optim_wrapper: OptimWrapper | OptimWrapperDict | None) -> set[int]:
    """Ids of parameters that an optimiser holds with a learning rate of 0."""
    wrappers = [] if optim_wrapper is None else _wrappers(optim_wrapper).values()
    return {number for wrapper in wrappers for number in frozen_parameters(wrapper.optimizer)}


def _unless_frozen(info: LayerInfo, without_rate: set[int]) -> LayerInfo:
    if not info.prunable:
        return info
    if not info.stored.requires_grad:
        return replace(info, reason='frozen: requires_grad is False')
    if id(info.stored) in without_rate:
        return replace(info, reason='frozen: its learning rate is 0')
    return info


def _refuse_shared(by_network: dict[str, list[LayerInfo]]) -> None:
    owners: dict[int, str] = {}
    for network, infos in by_network.items():
        for info in filter(lambda info: info.prunable, infos):
            owner = owners.setdefault(id(info.module), network)
            if owner != network:
                raise ConfigError(
                    f'networks: {owner!r} and {network!r} share the layer {info.name!r}; name one '
                    'of the two in networks'
                )


def _join(network: str, layer: str) -> str:
    return f'{network}.{layer}' if layer else network


def _is_average(name: str, children: dict[str, nn.Module]) -> bool:
    child = children[name]
    if isinstance(child, BaseAveragedModel):
        return True
    return _may_average(name, child) and _source_of(name, child, children) is not None


def _may_average(name: str, child: nn.Module) -> bool:
    """MMagic's averaging hook keeps a plain copy under the network's name with _ema."""
    return isinstance(child, BaseAveragedModel) or name.endswith(PLAIN_AVERAGE)


def _source_of(name: str, average: nn.Module, networks: dict[str, nn.Module]) -> str | None:
    shapes = _parameter_shapes(averaged_module(average))
    same = [
        key
        for key, network in networks.items()
        if network is not average and _parameter_shapes(network) == shapes
    ]
    # Two networks of one shape (CycleGAN) are told apart by name.
    by_name = sorted((key for key in same if name.startswith(key)), key=len)
    return by_name[-1] if by_name else next(iter(same), None)


def _parameter_shapes(network: nn.Module) -> dict:
    return {name: parameter.shape for name, parameter in network.named_parameters()}


def _wrappers(optim_wrapper: OptimWrapper | OptimWrapperDict) -> dict[str, OptimWrapper]:
    if isinstance(optim_wrapper, OptimWrapperDict):
        return dict(optim_wrapper.items())
    return {'optim_wrapper': optim_wrapper}


def check_names(field: str, value: Sequence[str] | None) -> list[str] | None:
    """Returns a list of names; None stays None.

    Raises:
        ConfigError: Anything else, a single string included.
    """
    if value is None:
        return None
    named = isinstance(value, (list, tuple)) and all(isinstance(v, str) and v for v in value)
    if not named or not value:
        raise ConfigError(f"{field}={value!r} must be a list of names, such as ['generator']")
    return list(value)


def check_mapping(field: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns a dict by name; None is an empty one.

    Raises:
        ConfigError: Anything else.
    """
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f'{field}={value!r} must be a dict by name, such as {field}=dict(...)')
    return dict(value or {})


def refuse_unknown(field: str, names: Iterable[str], there: Collection[str]) -> None:
    """Raises ConfigError with what is there when a name is not."""
    for name in names:
        if name not in there:
            hint = did_you_mean(name, there)
            raise ConfigError(f'{field}: there is no {name!r}{hint}; there is: {", ".join(there)}')
