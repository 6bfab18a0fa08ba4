"""MMEngine goes on when nothing of a checkpoint fits the model."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModel, BaseTTAModel, is_model_wrapper
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from rggan_mm.compat.outcome import Outcome
from rggan_mm.errors import ConfigError
from rggan_mm.pruning.sparse_network import THRESHOLD

_NAME = 'foreign-weights'


def _inner(model: nn.Module) -> nn.Module:
    """Return the module that MMEngine loads into."""
    wrapped = is_model_wrapper(model) or isinstance(model, BaseTTAModel)
    return model.module if wrapped else model


def _below(names: Iterable[str], network: str) -> list[str]:
    return [name for name in names if name.startswith(f'{network}.')]


def _shape(value: Any) -> tuple[int, ...]:
    """Shape of a tensor; a file may hold anything."""
    return tuple(getattr(value, 'shape', ()))


def _fitting(wanted: Mapping[str, Any], missing: list[str], state: Mapping[str, Any]) -> set[str]:
    """Names of the model that were found, in the right shape."""
    other_shape = {
        name
        for name, value in wanted.items()
        if name in state and _shape(state[name]) != tuple(value.shape)
    }
    return wanted.keys() - other_shape - set(missing)


def _describe(names: Iterable[str], state: Mapping[str, Any]) -> str:
    name = next(iter(names), None)
    if name is None:
        return 'nothing'
    return f'{name} {_shape(state[name])}, ...' if _shape(state[name]) else f'{name}, ...'


def _refuse(what: str, wanted: list[str], model: Mapping, found: list[str], file: Mapping) -> None:
    raise ConfigError(
        f'checkpoint: nothing in it fits {what}: it has {_describe(found, file)} and the model has '
        f'{_describe(wanted, model)}; use the config that it was made with or a checkpoint of this '
        'model, or take out of the file what the model should not get'
    )


def check_loaded(model: nn.Module, incompatible: Any, state: Mapping[str, Any]) -> None:
    """Refuse a load that left a network as it was; a hook of PyTorch's loaders.

    Parts may be missing: a checkpoint without one of the networks gets a
    warning, one without some of a network's weights MMEngine's own message.

    Args:
        model: The model after loading.
        incompatible: PyTorch's record of missing and unexpected names.
        state: What was loaded.

    Raises:
        ConfigError: Nothing in ``state`` fits the model, or nothing that
            ``state`` has for one of its networks fits that network.
    """
    wanted = _weights(mmengine_checkpoint.get_state_dict(model))
    fitting = _fitting(wanted, incompatible.missing_keys, state)
    if wanted and not fitting:
        _refuse(f'the {type(model).__name__}', list(wanted), wanted, list(state), state)
    for network in _networks(model):
        found = _below(state, network)
        if not found:
            message = f'checkpoint: it has no {network}, which keeps the weights it has'
            print_log(message, logger='current', level=logging.WARNING)
        elif not _below(fitting, network):
            _refuse(repr(network), _below(wanted, network), wanted, found, state)


def _weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out what fits any file: counters, and thresholds, which it need not have."""
    return {n: v for n, v in state.items() if _shape(v) and n.rpartition('.')[2] != THRESHOLD}


def _networks(model: nn.Module) -> list[str]:
    """Children with weights; a lone network has parts, which may be exchanged."""
    if not isinstance(model, BaseModel):
        return []
    return [name for name, child in model.named_children() if any(True for _ in child.parameters())]


def _checked(load: Callable[..., None]) -> Callable[..., None]:
    """Wrap MMEngine's load_state_dict."""

    @wraps(load)
    def load_state_dict(
        module: nn.Module, state_dict: Mapping[str, Any], strict: bool = False, logger: Any = None
    ) -> None:
        if strict:
            return load(module, state_dict, strict, logger)
        check = partial(check_loaded, state=state_dict)
        handle = _inner(module).register_load_state_dict_post_hook(check)
        try:
            return load(module, state_dict, strict, logger)
        finally:
            handle.remove()

    return load_state_dict


def refuse_foreign_weights() -> Outcome:
    """End a load in which nothing of a network matches with one clear line.

    Symptom: ``load_from``, ``resume`` or a test with the wrong checkpoint goes on
    with random weights; only a long log message lists names. Cause: MMEngine
    loads with ``strict=False`` and never counts what matched. Applies to every
    MMEngine up to 0.10.7.

    Returns:
        The outcome.
    """
    mmengine_checkpoint.load_state_dict = _checked(mmengine_checkpoint.load_state_dict)
    return Outcome(_NAME, True, 'a checkpoint of which nothing fits a network is refused')
