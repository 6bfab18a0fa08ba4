"""Masked layers that are stepped together, and what a step does to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import torch
from torch import Tensor, nn

from .masked_layers import MaskedLayer
from .masks import regularizer_gradients


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
        """Thresholds by layer name, of the layers that have some."""
        found = {name: layer.threshold for name, layer in self.layers.items()}
        return {name: threshold for name, threshold in found.items() if threshold is not None}

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
            if layer.threshold is not None:
                layer.threshold.grad = None

    def add_regularizer_gradient(self, lam: float | Tensor, frozen: Collection[int] = ()) -> None:
        """Adds the regulariser's gradient, -lam * exp(-t), in sparse phases.

        Layers that did not compute since the last step (scales of a progressive
        network that have not grown yet, or have grown out) are left alone, and so are
        those whose weight is not trained.

        Args:
            lam: The regulariser's weight; 0-d where it is a tensor.
            frozen: Ids of parameters that the step does not move; those with
                requires_grad=False need not be named.
        """
        trained = [
            layer
            for layer in self._fired_layers()
            if layer.threshold is not None
            and layer.info.stored.requires_grad
            and id(layer.info.stored) not in frozen
        ]
        thresholds = [layer.threshold for layer in trained]
        gradients = regularizer_gradients(thresholds, lam) if thresholds else []
        for threshold, gradient in zip(thresholds, gradients, strict=True):
            previous = threshold.grad
            with torch.no_grad():
                threshold.grad = gradient if previous is None else previous + gradient

    def mask_raw_gradients(self) -> None:
        """W.grad <- W.grad * M with the M of the last forward, where the rule says so.

        Thresholds say so in mode 'published', stored masks always. Where the layer computes
        with another shape than it stores (fused up- and downsampling), the gradient already
        comes through the mask.
        """
        masks = {w: mask for w, mask in self._raw_masks().items() if w.grad is not None}
        if masks:
            torch._foreach_mul_([weight.grad for weight in masks], list(masks.values()))

    def pruned_weights(self) -> Callable[[], None]:
        """Remembers the weights whose gradients are masked now.

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
            if layer.rule.masks_raw_gradient and stored.shape == layer.kept.shape:
                # Layers that share a parameter keep what any of them keeps.
                other = masks.get(stored)
                masks[stored] = layer.kept if other is None else other.maximum(layer.kept)
        return masks

    def _fired_layers(self) -> list[MaskedLayer]:
        return [layer for layer in self.layers.values() if layer.fired]
