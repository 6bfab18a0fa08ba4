"""MMagic's inference API (``init_model``, ``MMagicInferencer``) reads sparse checkpoints."""

from collections.abc import Callable, Iterable
from functools import wraps
from importlib import import_module
from typing import Any

from mmengine.model import BaseAveragedModel
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork
from rggan_mm.pruning.layers import choose_layers
from rggan_mm.pruning.mask_rules import MASK, RULES
from rggan_mm.pruning.sparse_network import CHANNELS, PHASE

from .channels import groups_of
from .discovery import averaged_module, children_of

_LOADING = ('inference_functions', 'base_mmagic_inferencer')


def read_sparse_checkpoints() -> None:
    """Lets the modules of ``mmagic.apis`` that load checkpoints mask what was trained masked."""
    for name in _LOADING:
        module = import_module(f'mmagic.apis.inferencers.{name}')
        module.load_checkpoint = _attaching(module.load_checkpoint)


def _attaching(load: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load)
    def load_checkpoint(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
        handle = model._register_load_state_dict_pre_hook(
            lambda state, *rest: attach_as_saved(model, state)
        )
        try:
            return load(model, *args, **kwargs)
        finally:
            handle.remove()

    return load_checkpoint


def attach_as_saved(model: nn.Module, names: Iterable[str]) -> None:
    """Attaches thresholds or stored masks where a checkpoint has them.

    Args:
        model: The model, without them.
        names: Names of the checkpoint's weights; without such tensors nothing changes.

    Raises:
        ConfigError: One whose layer the model does not have.
    """
    names = set(map(str, names))
    left = tensors_of_rules(names)
    for name, child in children_of(model).items() if left else ():
        prefix = f'{name}.module.' if isinstance(child, BaseAveragedModel) else f'{name}.'
        network = averaged_module(child)
        for tensor, rule in RULES.items():
            found = {f'{prefix}{info.name}.{tensor}': info for info in choose_layers(network)}
            layers = [info for full, info in found.items() if full in left]
            if layers:
                whole = groups_of(model, network) if f'{prefix}{CHANNELS}' in names else []
                makers = {info.name for info in layers}
                groups = [group for group in whole if group.producer in makers]
                SparseNetwork(network, layers=layers, rule=rule, groups=groups)
                left -= set(found)
    if left:
        raise ConfigError(
            f'checkpoint: {min(left)} belongs to no layer of the {type(model).__name__}; '
            'use the config that it was made with'
        )


def tensors_of_rules(names: Iterable[str]) -> set[str]:
    """Which names of a checkpoint are thresholds or stored masks.

    Args:
        names: Names of the checkpoint's weights.
    """
    by_tensor = {name: name.rpartition('.')[2] for name in map(str, names)}
    # Others call something a mask as well; ours comes with a phase.
    known = RULES if PHASE in by_tensor.values() else {*RULES} - {MASK}
    return {name for name, tensor in by_tensor.items() if tensor in known}
