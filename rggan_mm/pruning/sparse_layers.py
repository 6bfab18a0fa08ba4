"""Masked layers that are updated together, and what an optimiser step does to them."""

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from .masked_layer import MaskedLayer


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

    def updated_with(self, parameters: Iterable[Tensor]) -> 'SparseLayers':
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

    def add_regularizer_gradient(self, strength: float) -> None:
        """Adds the regulariser's gradient, -strength * exp(-t), in sparse phases.

        Layers that did not compute since the last step (scales of a progressive
        network that have not grown yet, or have grown out) are left alone.
        """
        thresholds = [layer.threshold for layer in self._fired_layers()]
        if not thresholds:
            return
        with torch.no_grad():
            gradients = torch._foreach_exp(torch._foreach_neg(thresholds))
            torch._foreach_mul_(gradients, -strength)
            for threshold, gradient in zip(thresholds, gradients, strict=True):
                previous = threshold.grad
                threshold.grad = gradient if previous is None else previous + gradient

    def mask_raw_gradients(self) -> None:
        """W.grad <- W.grad * M with the M of the last forward (published mode only).

        Where the layer computes with another shape than it stores (fused up- and
        downsampling), the gradient already comes through the mask.
        """
        masks: dict[nn.Parameter, Tensor] = {}
        for layer in self._fired_layers():
            stored = layer.info.stored
            if layer.network.mode != 'published':
                continue
            if stored.grad is not None and stored.shape == layer.kept.shape:
                # Layers that share a parameter keep what any of them keeps.
                other = masks.get(stored)
                masks[stored] = layer.kept if other is None else other.maximum(layer.kept)
        if masks:
            torch._foreach_mul_([stored.grad for stored in masks], list(masks.values()))

    def _fired_layers(self) -> Collection[MaskedLayer]:
        return [layer for layer in self.layers.values() if layer.fired]
