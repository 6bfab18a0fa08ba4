"""Masked layers: the hooks that mask a weight while its layer computes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .channel_rules import as_columns
from .layers import LayerInfo
from .mask_rules import THRESHOLD, MaskRule

# In the __dict__ of a layer that computes, or of its parametrization.
_UNMASKED = '_rggan_unmasked'
_ACTIVE = '_rggan_active'


class Masking(Protocol):
    """What a masked layer asks of its network.

    Attributes:
        sparse: The phase.
    """

    sparse: bool


class MaskedLayer:
    """Masks the tensor that one layer multiplies with, while it computes.

    The masked weight stands in for the layer's own only between a forward pre-hook and a
    forward hook, so parameters and their names do not change. Hooks work on the module that
    they are given, so replicas (``nn.DataParallel``) are masked too. All hooks are bound
    methods: a deep copy of the network copies this object with it.

    Args:
        info: The layer.
        network: The sparse network that the layer belongs to.
        rule: Which of the layer's weights are kept.

    Attributes:
        kept: The mask of the last forward; None before one in this sparse phase. Numbers 0
            and 1 in the weight's dtype where gradients are computed, which need them, else
            booleans, which take less memory.
        reads: The layer whose channels this one reads, where those are pruned as a whole.
        fired: Whether the layer has computed since the last optimiser step.
    """

    def __init__(self, info: LayerInfo, network: Masking, rule: MaskRule) -> None:
        self.info = info
        self.network = network
        self.rule = rule
        self.kept: Tensor | None = None
        self.fired = False
        self.reads: MaskedLayer | None = None
        self._handles = self._register_hooks()

    @property
    def threshold(self) -> nn.Parameter | None:
        """The layer's thresholds, shape (C_out,); None under a rule without."""
        return self.info.module._parameters.get(THRESHOLD)

    @property
    def mask(self) -> Tensor | None:
        """The mask of the last forward, True = kept; None before one in this phase."""
        return None if self.kept is None else self.kept.bool()

    def detach(self) -> None:
        """Removes the hooks and the rule's tensor; the layer is what it was before."""
        for handle in self._handles:
            handle.remove()
        self.rule.detach()

    def masked(self, weight: Tensor, tensor: Tensor) -> Tensor:
        """Returns weight * M, and keeps M.

        Args:
            weight: What the layer, or a replica of it, multiplies with.
            tensor: The rule's tensor in the same module.
        """
        if _is_exporting():
            kept = self.rule.keep(weight, tensor)
            masked = weight * kept
        else:
            masked, kept = self.rule.masked(weight, tensor)
        self.rule.hand_on(kept)
        if self.reads is not None:
            masked, kept = self._without_columns(masked, kept)
        if _is_exporting():  # a traced forward must leave nothing behind
            return masked
        if weight.device == self.info.stored.device:
            self.kept = kept if torch.is_grad_enabled() else kept.bool()
            self.fired = True
        return masked

    def _without_columns(self, masked: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Masks the columns of channels that the layer before has just pruned."""
        handed = self.reads.rule.handed_on
        by_channel = handed.pop(masked.device) if _is_exporting() else handed.get(masked.device)
        if by_channel is None:  # computes by itself, without the layer before
            return masked, kept.expand_as(masked)
        columns = as_columns(by_channel, self.info, masked.ndim)
        return masked * columns, (kept * columns).expand_as(masked)

    def _register_hooks(self) -> list:
        module = self.info.module
        handles = [
            module.register_forward_pre_hook(self._before_forward),
            module.register_forward_hook(self._after_forward, always_call=True),
            module._register_load_state_dict_pre_hook(self._accept_stock_checkpoint),
        ]
        if self.info.source == 'parametrization':
            parametrization = module.parametrizations['weight']
            handles.append(parametrization.register_forward_hook(self._mask_parametrization))
        return handles

    def _before_forward(self, module: nn.Module, args: tuple) -> None:
        # Only a forward that a KeyboardInterrupt cut off has left something behind.
        _restore(module)
        if not self.network.sparse:
            return
        module.__dict__[_UNMASKED] = {}
        tensor = getattr(module, self.rule.name, None)
        if self.info.source == 'attribute':
            _shadow(module, 'weight', self.masked(module.weight, tensor))
        elif self.info.source == 'method':
            compute = module.sn_weight
            _shadow(module, 'sn_weight', lambda: self.masked(compute(), tensor))
        else:
            module.parametrizations['weight'].__dict__[_ACTIVE] = tensor

    def _after_forward(self, module: nn.Module, args: tuple, output: object) -> None:
        _restore(module)

    def _mask_parametrization(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        active = module.__dict__
        return self.masked(output, active[_ACTIVE]) if _ACTIVE in active else output

    def _accept_stock_checkpoint(self, state_dict: dict, prefix: str, *_: object) -> None:
        # A checkpoint made without the rule's tensor loads strictly; it keeps its values.
        if self.rule.name:
            state_dict.setdefault(prefix + self.rule.name, self.rule.tensor.detach())


def _shadow(module: nn.Module, name: str, value: object) -> None:
    # An instance attribute hides a parameter or method of the same name.
    module.__dict__[_UNMASKED][name] = module.__dict__.get(name)
    module.__dict__[name] = value


def _restore(module: nn.Module) -> None:
    own = module.__dict__
    unmasked = own.pop(_UNMASKED, None)
    if unmasked is None:
        return
    for name, value in unmasked.items():
        del own[name]
        if value is not None:
            own[name] = value
    if 'parametrizations' in module._modules:
        module.parametrizations['weight'].__dict__.pop(_ACTIVE, None)


def _is_exporting() -> bool:
    """Whether PyTorch traces this forward to export it (torch.export, torch.jit.trace, ONNX)."""
    exporting = getattr(torch.compiler, 'is_exporting', bool)
    return torch.jit.is_tracing() or exporting()
