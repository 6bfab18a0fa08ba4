"""Weights under spectral norm are not initialised once their module has moved."""

from functools import wraps

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn.utils.spectral_norm import SpectralNorm, spectral_norm

from rggan_mm.compat.outcome import Outcome

_NAME = 'spectral-norm-init'


def _tie(model: nn.Module) -> None:
    """Make the weight that initialisers see the stored one again."""
    for module in model.modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                setattr(module, hook.name, getattr(module, f'{hook.name}_orig').data)


class _Probe(BaseModule):
    """The smallest model that initialises a layer as mmagic's do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = spectral_norm(nn.Linear(1, 1))
        self._params_init_info = {}  # as below another model: nothing is logged

    def init_weights(self) -> None:
        super().init_weights()
        nn.init.constant_(self.layer.weight, 2.0)


def _loses_weights() -> bool:
    """Ask whether a moved model keeps what it is initialised with."""
    with torch.random.fork_rng(devices=[]):
        probe = _Probe().double()
    probe.init_weights()
    return probe.layer.weight_orig.item() != 2.0


def initialise_under_spectral_norm() -> Outcome:
    """Let layers under spectral norm start from the configured weights.

    Symptom: on a GPU, BigGAN for CIFAR-10 starts from PyTorch's default
    weights in place of N(0, 0.02), and says nothing; SAGAN and SNGAN-Proj keep
    the weights they were built with. Cause: PyTorch's old-style spectral norm
    leaves a plain attribute ``weight`` for initialisers, which shares memory
    with the parameter ``weight_orig`` until the module goes to another device,
    type or memory format; MMEngine moves a model before it initialises it.
    Here they share memory again when ``init_weights`` of MMEngine begins.
    Applies to PyTorch up to at least 2.14 with mmengine up to 0.10.7.

    Returns:
        The outcome.
    """
    if not _loses_weights():
        return Outcome(_NAME, False, 'a moved layer keeps what it is initialised with')
    original = BaseModule.init_weights

    @wraps(original)
    def init_weights(self: BaseModule) -> None:
        _tie(self)
        original(self)

    BaseModule.init_weights = init_weights
    return Outcome(_NAME, True, 'layers under spectral norm are initialised on any device')
