"""Refuses a checkpoint of which nothing fits the model; MMEngine goes on with such a one."""

import logging
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import nn

from rggan_mm.errors import ConfigError

from .checkpoint_names import give_back_module


@contextmanager
def foreign_weights_refused(model: nn.Module) -> Iterator[None]:
    """Looks at what MMEngine's loader puts into a model inside the block.

    Names that look wrapped are put right first (:func:`give_back_module`).

    Args:
        model: The model, not wrapped as a whole.

    Raises:
        ConfigError: As :func:`check_loaded`, out of the loader.
    """
    given: dict[str, Any] = {}

    def before(state: dict, *rest: Any) -> None:
        give_back_module(model, state)
        given.update(state)

    def after(module: nn.Module, incompatible: Any) -> None:
        check_loaded(model, given, incompatible.unexpected_keys)

    handles = [
        model._register_load_state_dict_pre_hook(before),
        model.register_load_state_dict_post_hook(after),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_loaded(model: nn.Module, state: Mapping[str, Any], unexpected: Container[str]) -> None:
    """Refuses a load that left a network as it was.

    Parts may be missing: a checkpoint without one of the networks gets a warning, one
    without some of a network's weights MMEngine's own message.

    Args:
        model: The model after loading.
        state: What was loaded.
        unexpected: Names in ``state`` for which PyTorch found no place.

    Raises:
        ConfigError: Nothing in ``state`` went into the model, or nothing that ``state`` has
            for one of its networks went into that network.
    """
    wanted = {name: value for name, value in model.state_dict().items() if _shape(value)}
    taken = [name for name in state if name not in unexpected and _fits(name, state, wanted)]
    if wanted and not taken:
        _refuse(f'the {type(model).__name__}', wanted, state)
    for network in _networks(model):
        found = _below(state, network)
        if not found:
            message = f'checkpoint: it has no {network}, which keeps the weights it has'
            print_log(message, logger='current', level=logging.WARNING)
        elif not _below(taken, network):
            _refuse(repr(network), {n: wanted[n] for n in _below(wanted, network)}, state, found)


def _fits(name: str, state: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a weight has its place's shape; counters, which fit any file, say nothing."""
    shape = _shape(state[name])
    # A module may take weights under names that it had in older versions.
    return bool(shape) and (name not in wanted or _shape(wanted[name]) == shape)


def _shape(value: Any) -> tuple[int, ...]:
    """Shape of a tensor; a file may hold anything."""
    return tuple(getattr(value, 'shape', ()))


def _networks(model: nn.Module) -> list[str]:
    """Children with weights; a lone network has parts, which may be exchanged."""
    if not isinstance(model, BaseModel):
        return []
    return [name for name, child in model.named_children() if any(True for _ in child.parameters())]


def _below(names: Iterable[str], network: str) -> list[str]:
    return [name for name in names if name.startswith(f'{network}.')]


def _refuse(
    what: str, wanted: Mapping[str, Any], state: Mapping[str, Any], found: Iterable[str] = ()
) -> None:
    raise ConfigError(
        f'checkpoint: nothing in it fits {what}: it has {_first(found or state, state)} and the '
        f'model has {_first(wanted, wanted)}; use the config that it was made with or a checkpoint '
        'of this model, or take out of the file what the model should not get'
    )


def _first(names: Iterable[str], values: Mapping[str, Any]) -> str:
    name = next(iter(names), None)
    if name is None:
        return 'nothing'
    return f'{name} {_shape(values[name])}, ...' if _shape(values[name]) else f'{name}, ...'
