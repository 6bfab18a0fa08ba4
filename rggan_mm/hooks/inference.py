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
from rggan_mm.pruning.masked_layers import THRESHOLD

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
    """Attaches thresholds where a checkpoint has them.

    Args:
        model: The model, without thresholds.
        names: Names of the checkpoint's weights; without thresholds nothing changes.

    Raises:
        ConfigError: A threshold whose layer the model does not have.
    """
    thresholds = {name for name in names if name.rpartition('.')[2] == THRESHOLD}
    for name, child in children_of(model).items() if thresholds else ():
        prefix = f'{name}.module.' if isinstance(child, BaseAveragedModel) else f'{name}.'
        network = averaged_module(child)
        layers = [
            info
            for info in choose_layers(network)
            if f'{prefix}{info.name}.{THRESHOLD}' in thresholds
        ]
        if layers:
            SparseNetwork(network, layers=layers)
            thresholds -= {f'{prefix}{info.name}.{THRESHOLD}' for info in layers}
    if thresholds:
        raise ConfigError(
            f'checkpoint: {min(thresholds)} belongs to no layer of the {type(model).__name__}; '
            'use the config that it was made with'
        )
