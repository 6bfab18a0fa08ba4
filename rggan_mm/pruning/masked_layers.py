"""Masked layers: thresholds, the hooks that mask a weight, and what a step does to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from . import mask_kernel
from .layers import LayerInfo, output_channels
from .masks import (
    exceeds,
    has_collapsed,
    keep_mask,
    regularizer_gradients,
    ste_mask,
    threshold_shape,
)

THRESHOLD = 'threshold'
# In the __dict__ of a layer that computes, or of its parametrization.
_UNMASKED = '_rggan_unmasked'
_ACTIVE = '_rggan_threshold'
_CASTING = (nn.Linear.forward, nn.Conv2d.forward, nn.ConvTranspose2d.forward)


class Masking(Protocol):
    """What a masked layer asks of its network.

    Attributes:
        sparse: The phase.
        mode: Threshold gradient, 'published' or 'ste'.
        min_keep: Limit of the collapse guard, in [0, 1); None: no guard.
    """

    sparse: bool
    mode: str
    min_keep: float | None


class MaskedLayer:
    """Masks the tensor that one layer multiplies with, while it computes.

    The masked weight stands in for the layer's own only between a forward pre-hook and a
    forward hook, so parameters and their names do not change. Hooks work on the module that
    they are given, so replicas (``nn.DataParallel``) are masked too. All hooks are bound
    methods: a deep copy of the network copies this object with it.

    Args:
        info: The layer.
        network: The sparse network that the layer belongs to.

    Attributes:
        kept: The mask of the last forward; None before one in this sparse phase. Numbers 0
            and 1 in the weight's dtype where gradients are computed, which need them, else
            booleans, which take less memory.
        fired: Whether the layer has computed since the last optimiser step.
    """

    def __init__(self, info: LayerInfo, network: Masking) -> None:
        self.info = info
        self.network = network
        self.kept: Tensor | None = None
        self.fired = False
        self.guard_count: Tensor | None = None
        self._counters: Tensor | None = None
        thresholds = info.stored.new_zeros(output_channels(info))
        info.module.register_parameter(THRESHOLD, nn.Parameter(thresholds))
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

    def masked(self, weight: Tensor, threshold: Tensor) -> Tensor:
        """Returns weight * M; keeps M and applies the collapse guard first.

        Args:
            weight: What the layer, or a replica of it, multiplies with.
            threshold: Its thresholds, shape (C_out,).
        """
        shape = threshold_shape(self.info.module, weight, self.info.out_dim)
        if _is_exporting():  # a traced forward must leave nothing behind
            return weight * keep_mask(weight, threshold, shape)
        own = threshold is self.threshold and self.network.mode == 'published'
        if own and mask_kernel.usable(weight, threshold, shape):
            masked, kept = self._masked_in_one_kernel(weight, threshold)
            self._remember(weight, kept)
            return masked
        with torch.no_grad():
            kept, reset = self._guarded_mask(weight, threshold, shape)
        self._remember(weight, kept)
        if self.network.mode == 'ste':
            if reset is not None and threshold is not self.threshold:
                threshold = threshold.masked_fill(reset, 0)
            return weight * ste_mask(weight, threshold, shape, kept)
        return weight * kept

    def _remember(self, weight: Tensor, kept: Tensor) -> None:
        if weight.device == self.info.stored.device:
            self.kept = kept if torch.is_grad_enabled() else kept.bool()
            self.fired = True

    def _masked_in_one_kernel(self, weight: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
        """The masked weight and the mask, in the type that is to be kept."""
        self._place_counts(weight.device)
        counts = self.guard_count, self._counters
        settings = self.info.out_dim, self.network.min_keep, *counts
        # A layer of PyTorch's would cast the masked weight itself.
        cast = torch.is_autocast_enabled() and type(self.info.module).forward in _CASTING
        dtype = torch.get_autocast_gpu_dtype() if cast else weight.dtype
        if torch.is_grad_enabled():
            apply = mask_kernel.MaskedWeight.apply
            return apply(weight, threshold, *settings, weight.dtype, dtype)
        return mask_kernel.mask_weight(weight, threshold, *settings, torch.bool, dtype)

    def _place_counts(self, device: torch.device) -> None:
        """Makes or moves the counts, which change in place; so not as inference tensors."""
        if self.guard_count is None or self.guard_count.device != device:
            with torch.inference_mode(False):
                before = self.guard_count
                zero = torch.zeros((), dtype=torch.int64, device=device)
                self.guard_count = zero if before is None else before.to(device)
                self._counters = torch.zeros(2, dtype=torch.int32, device=device)

    def _guarded_mask(
        self, weight: Tensor, threshold: Tensor, shape: list[int]
    ) -> tuple[Tensor, Tensor | None]:
        """The mask as numbers, and whether the guard acted; without a synchronisation."""
        magnitude = weight.abs()
        if self.network.min_keep is None:
            return exceeds(magnitude, threshold, shape, in_place=True), None
        kept = exceeds(magnitude, threshold, shape)
        collapsed = has_collapsed(kept, self.network.min_keep)
        # masked_fill, not a product: a threshold of inf must become 0, not NaN.
        self.threshold.masked_fill_(collapsed.to(self.threshold.device), 0)
        if threshold is not self.threshold:
            threshold = threshold.masked_fill(collapsed, 0)
        self._place_counts(weight.device)
        self.guard_count += collapsed
        return exceeds(magnitude, threshold, shape, in_place=True), collapsed

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
        if self.info.source == 'attribute':
            _shadow(module, 'weight', self.masked(module.weight, module.threshold))
        elif self.info.source == 'method':
            compute, threshold = module.sn_weight, module.threshold
            _shadow(module, 'sn_weight', lambda: self.masked(compute(), threshold))
        else:
            module.parametrizations['weight'].__dict__[_ACTIVE] = module.threshold

    def _after_forward(self, module: nn.Module, args: tuple, output: object) -> None:
        _restore(module)

    def _mask_parametrization(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        threshold = module.__dict__.get(_ACTIVE)
        return output if threshold is None else self.masked(output, threshold)

    def _accept_stock_checkpoint(self, state_dict: dict, prefix: str, *_: object) -> None:
        # A checkpoint made without thresholds loads strictly; they keep their values.
        state_dict.setdefault(prefix + THRESHOLD, self.threshold.detach())


class SparseLayers:
    """The masked layers that one optimiser updates: a whole network or a part of it.

    No method synchronises the device.

    Args:
        layers: Masked layers of one network, by name.
    """

    def __init__(self, layers: dict[str, MaskedLayer]) -> None:
        self.layers = layers

    @property
    def thresholds(self) -> dict[str, nn.Parameter]:
        """Thresholds by layer name."""
        return {name: layer.threshold for name, layer in self.layers.items()}

    def updated_with(self, parameters: Iterable[Tensor]) -> SparseLayers:
        """Those of the layers whose raw weight is among some parameters."""
        own = {id(parameter) for parameter in parameters}
        return SparseLayers({n: c for n, c in self.layers.items() if id(c.info.stored) in own})

    def end_step(self) -> None:
        """Ends one optimiser step: threshold gradients are used up."""
        self.discard_gradients()
        for layer in self.layers.values():
            layer.fired = False

    def discard_gradients(self) -> None:
        """Drops the gradients of all thresholds."""
        for layer in self.layers.values():
            layer.threshold.grad = None

    def add_regularizer_gradient(self, lam: float, frozen: Collection[int] = ()) -> None:
        """Adds the regulariser's gradient, -lam * exp(-t), in sparse phases.

        Layers that did not compute since the last step (scales of a progressive
        network that have not grown yet, or have grown out) are left alone, and so are
        those whose weight is not trained.

        Args:
            lam: The regulariser's weight.
            frozen: Ids of parameters that the step does not move; those with
                requires_grad=False need not be named.
        """
        trained = [
            layer
            for layer in self._fired_layers()
            if layer.info.stored.requires_grad and id(layer.info.stored) not in frozen
        ]
        thresholds = [layer.threshold for layer in trained]
        gradients = regularizer_gradients(thresholds, lam) if thresholds else []
        for threshold, gradient in zip(thresholds, gradients, strict=True):
            previous = threshold.grad
            with torch.no_grad():
                threshold.grad = gradient if previous is None else previous + gradient

    def mask_raw_gradients(self) -> None:
        """W.grad <- W.grad * M with the M of the last forward (published mode only).

        Where the layer computes with another shape than it stores (fused up- and
        downsampling), the gradient already comes through the mask.
        """
        masks = {w: mask for w, mask in self._raw_masks().items() if w.grad is not None}
        if masks:
            torch._foreach_mul_([weight.grad for weight in masks], list(masks.values()))

    def pruned_weights(self) -> Callable[[], None]:
        """Remembers the weights that are masked now (published mode only).

        Returns:
            A function that gives them back the values that they have now, bit for bit.
        """
        masks = self._raw_masks()
        with torch.no_grad():
            held = [(w, w.clone(), mask.to(w.dtype)) for w, mask in masks.items()]

        @torch.no_grad()
        def give_back() -> None:
            for weight, before, kept in held:
                torch.lerp(before, weight, kept, out=weight)  # by 0 or 1: one of them exactly

        return give_back

    def _raw_masks(self) -> dict[nn.Parameter, Tensor]:
        """Masks of the last forward by stored weight, where both have one shape."""
        masks: dict[nn.Parameter, Tensor] = {}
        for layer in self._fired_layers():
            stored = layer.info.stored
            if layer.network.mode == 'published' and stored.shape == layer.kept.shape:
                # Layers that share a parameter keep what any of them keeps.
                other = masks.get(stored)
                masks[stored] = layer.kept if other is None else other.maximum(layer.kept)
        return masks

    def _fired_layers(self) -> list[MaskedLayer]:
        return [layer for layer in self.layers.values() if layer.fired]


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
