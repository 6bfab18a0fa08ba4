"""A config's model and hooks, for tools that do not train."""

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import hooks_of, kind_of
from rggan_mm.training.mixed_precision import safe_wrappers

_NO_ARGUMENTS = ('type', '_scope_', 'priority')


def hook_of(config: Config, kind: type) -> Any:
    """The config's hook of a class, built; None when it has none."""
    for hook in hooks_of(config):
        if kind_of(hook) == kind.__name__:
            return kind(**{k: v for k, v in hook.items() if k not in _NO_ARGUMENTS})
    return None


def build_model(config: Config, initialize: bool = False) -> nn.Module:
    """Builds a config's model, without the warnings and log lines of model code.

    Args:
        config: A config of a GAN.
        initialize: Whether to initialise the weights with the config's seed (0 if it has
            none), as a run does. Default: False.

    Raises:
        ConfigError: The config has no model.
    """
    if not config.get('model'):
        raise ConfigError('model=None: the config has no model')
    scope = DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmagic'))
    with quiet(), scope:
        if not initialize:
            return MODELS.build(config.model)
        set_random_seed((config.get('randomness') or {}).get('seed') or 0)
        model = MODELS.build(config.model)
        model.init_weights()
    return model


def build_optimizers(config: Config, model: nn.Module) -> Any:
    """Builds a config's optimisers for its model; None when it has none."""
    given = config.get('optim_wrapper')
    if not given:
        return None
    scope = DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmagic'))
    # MMagic's constructors print.
    with quiet(), scope, redirect_stdout(io.StringIO()):
        return build_optim_wrapper(model, safe_wrappers(copy.deepcopy(given)))


@contextmanager
def quiet() -> Iterator[None]:
    """Without MMEngine's lines on each initialised weight and each file, and warnings."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
