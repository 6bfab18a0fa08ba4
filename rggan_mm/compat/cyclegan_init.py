"""CycleGAN and Pix2Pix cannot initialise their weights."""

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any

from mmengine.model.weight_init import update_init_info
from torch import nn

from rggan_mm.compat.outcome import Outcome

_NAME = 'cyclegan-init'
_RECORD = '_params_init_info'
_FUNCTION = 'generation_init_weights'


def _users() -> list[ModuleType]:
    """Every module of mmagic that holds the function."""
    import_module('mmagic.models')
    loaded = [module for name, module in sys.modules.items() if name.startswith('mmagic.')]
    return [module for module in loaded if _FUNCTION in vars(module)]


def _fails_when_recorded(init_weights: Callable[..., None]) -> bool:
    """Ask the function, with the smallest module that MMEngine keeps a record of."""
    module = nn.Identity()
    module._params_init_info = {}
    try:
        init_weights(module)
    except UnboundLocalError:
        return True
    return False


def _record_afterwards(init_weights: Callable[..., None]) -> Callable[..., None]:
    """Hide MMEngine's record while the weights are drawn, then write it."""

    @wraps(init_weights)
    def initialise(module: nn.Module, init_type: str = 'normal', init_gain: float = 0.02) -> None:
        hidden = {m: vars(m).pop(_RECORD) for m in module.modules() if _RECORD in vars(m)}
        try:
            init_weights(module, init_type, init_gain)
        finally:
            _put_back(hidden)
        if module in hidden:
            _write(module, f'{init_type} initialisation with gain {init_gain}')

    return initialise


def _put_back(hidden: dict[nn.Module, Any]) -> None:
    """Give every module its record again."""
    for module, record in hidden.items():
        module._params_init_info = record


def _write(module: nn.Module, what: str) -> None:
    """Record who changed the parameters that have changed."""
    update_init_info(module, f'Initialized by {type(module).__name__}: {what}')


def repair_cyclegan_init() -> Outcome:
    """Let CycleGAN and Pix2Pix initialise their networks.

    Symptom: ``UnboundLocalError: ... 'init_info'`` from
    ``generation_init_weights`` in mmagic/models/utils/model_utils.py. Cause: a
    module that MMEngine keeps a record of and that is neither a convolution, a
    linear layer nor a batch norm (the network itself, at the latest) has no
    text for the record. The weights are drawn by the function as it is; the
    record is written for the whole network afterwards. Applies to mmagic up to
    1.2.0.

    Returns:
        The outcome.
    """
    from mmagic.models.utils import generation_init_weights

    if not _fails_when_recorded(generation_init_weights):
        return Outcome(_NAME, False, 'mmagic initialises a network that MMEngine keeps a record of')
    repaired = _record_afterwards(generation_init_weights)
    for user in _users():
        setattr(user, _FUNCTION, repaired)
    return Outcome(_NAME, True, 'generators and patch discriminators initialise and are recorded')
