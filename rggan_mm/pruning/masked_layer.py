"""One pruned layer: its threshold parameter and the hooks that mask its weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .layers import LayerInfo, output_channels
from .masks import exceeds, reset_collapsed, ste_mask, threshold_shape

if TYPE_CHECKING:
    from .sparse_network import SparseNetwork

THRESHOLD = 'threshold'


class MaskedLayer:
    """Masks the tensor that one layer multiplies with, while it computes.

    The masked weight stands in for the layer's own only between a forward
    pre-hook and a forward hook, so parameters and their names do not change. All
    hooks are bound methods: a deep copy of the network copies this object with it.

    Args:
        info: The layer.
        network: The sparse network that the layer belongs to; it holds the phase,
            the gradient mode and the collapse guard's limit.

    Attributes:
        kept: The mask of the last forward; None before one in this sparse phase. Numbers 0
            and 1 in the weight's dtype where gradients are computed, which need them, else
            booleans, which take less memory.
        fired: Whether the layer has computed since the last optimiser step.
    """

    def __init__(self, info: LayerInfo, network: SparseNetwork) -> None:
        self.info = info
        self.network = network
        self.kept: Tensor | None = None
        self.fired = False
        self.guard_count: Tensor | None = None
        self._unmasked: dict[str, object] = {}
        self._computing = False
        weight = info.stored
        info.module.register_parameter(
            THRESHOLD, nn.Parameter(weight.new_zeros(output_channels(info)))
        )
        self._handles = self._register_hooks()

    @property
    def threshold(self) -> nn.Parameter:
        """The layer's thresholds, shape (C_out,)."""
        return self.info.module._parameters[THRESHOLD]

    @property
    def mask(self) -> Tensor | None:
        """The mask of the last forward, True = kept; None before one in this phase."""
        return None if self.kept is None else self.kept.bool()

    def detach(self) -> None:
        """Removes hooks and thresholds; the layer is what it was before."""
        for handle in self._handles:
            handle.remove()
        del self.info.module._parameters[THRESHOLD]

    def masked(self, weight: Tensor) -> Tensor:
        """Returns weight * M; keeps M and applies the collapse guard first."""
        shape = threshold_shape(self.info.module, weight, self.info.out_dim)
        with torch.no_grad():
            kept = self._guarded_mask(weight, shape)
        self.kept = kept if torch.is_grad_enabled() else kept.bool()
        self.fired = True
        if self.network.mode == 'ste':
            return weight * ste_mask(weight, self.threshold, shape, kept)
        return weight * kept

    def _guarded_mask(self, weight: Tensor, shape: list[int]) -> Tensor:
        size = weight.abs()
        if self.network.min_keep is None:
            return exceeds(size, self.threshold, shape, in_place=True)
        kept = exceeds(size, self.threshold, shape)
        collapsed = reset_collapsed(self.threshold, kept, self.network.min_keep)
        if self.guard_count is None:
            self.guard_count = torch.zeros((), dtype=torch.int64, device=weight.device)
        # A new tensor: one that was made in inference mode does not change in place.
        self.guard_count = self.guard_count.to(weight.device) + collapsed
        return exceeds(size, self.threshold, shape, in_place=True)

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
        self._restore()
        if not self.network.sparse:
            return
        self._computing = True
        if self.info.source == 'attribute':
            self._shadow('weight', self.masked(module.weight))
        elif self.info.source == 'method':
            compute = module.sn_weight
            self._shadow('sn_weight', lambda: self.masked(compute()))

    def _after_forward(self, module: nn.Module, args: tuple, output: object) -> None:
        self._restore()

    def _restore(self) -> None:
        if not self._computing:
            return
        self._computing = False
        own = self.info.module.__dict__
        for name, value in self._unmasked.items():
            del own[name]
            if value is not None:
                own[name] = value
        self._unmasked.clear()

    def _shadow(self, name: str, value: object) -> None:
        # An instance attribute hides a parameter or method of the same name.
        self._unmasked[name] = self.info.module.__dict__.get(name)
        self.info.module.__dict__[name] = value

    def _mask_parametrization(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        return self.masked(output) if self._computing else output

    def _accept_stock_checkpoint(self, state_dict: dict, prefix: str, *_: object) -> None:
        # A checkpoint made without thresholds loads strictly; they keep their values.
        state_dict.setdefault(prefix + THRESHOLD, self.threshold.detach())
