"""How often MMagic's trainers step the optimiser of each network."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from rggan_mm.errors import ConfigError


def optimizer_steps(config: Mapping[str, Any], model: nn.Module, network: str) -> int:
    """Optimiser steps of one network in a whole training, in one phase or another.

    A discriminator steps in each iteration, a generator ``generator_steps`` times after
    every ``discriminator_steps`` of them; gradient accumulation makes both rarer. SinGAN
    trains each layer in one stage only. Layers that join later (PGGAN, StyleGAN1) see
    fewer steps than counted here. A network whose name does not begin with
    'discriminator' counts as a generator.

    Args:
        config: Has ``train_cfg`` with ``max_iters``, and ``optim_wrapper``.
        model: The GAN that the config describes.
        network: Name of the network, such as 'generator'.

    Raises:
        ConfigError: ``train_cfg.max_iters`` is missing or no integer.
    """
    return steps_after(_iterations(config, model), config, model, network)


def steps_after(iterations: int, config: Mapping[str, Any], model: nn.Module, network: str) -> int:
    """Optimiser steps of one network in a number of iterations from the start.

    Args:
        iterations: Their number.
        config: Has ``optim_wrapper``.
        model: As in :func:`optimizer_steps`.
        network: As there. All stages of SinGAN count.
    """
    accumulated = _accumulated(config, 'discriminator')
    if network.startswith('discriminator'):
        return iterations // accumulated
    every = getattr(model, 'discriminator_steps', 1) * accumulated
    # Translation models can train their discriminators alone at first.
    turns = max(iterations // every - getattr(model, 'disc_init_steps', 0) // every, 0)
    if hasattr(model, 'generator_steps'):
        return turns * model.generator_steps
    return turns // _accumulated(config, 'generator')


def _iterations(config: Mapping[str, Any], model: nn.Module) -> int:
    """Iterations in which a layer can be trained."""
    value = (config.get('train_cfg') or {}).get('max_iters')
    if type(value) is not int or value < 1:
        raise ConfigError(
            f'train_cfg.max_iters={value!r} must be an integer of at least 1; '
            'or give --steps in place of a config'
        )
    stage = getattr(model, 'iters_per_scale', value) * getattr(model, 'discriminator_steps', 1)
    return min(value, stage)


def _accumulated(config: Mapping[str, Any], role: str) -> int:
    """Backward passes of an optimiser step; keys are the role, perhaps with an s or a scale."""
    wrappers = config.get('optim_wrapper') or {}
    counts = [
        wrapper.get('accumulative_counts', 1)
        for name, wrapper in wrappers.items()
        if name.startswith(role)
    ]
    return max(counts, default=1)
