"""Dynamic sparse training: masks that change at intervals, with the weights and gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from .masked_layers import MaskedLayer
from .sparse_layers import SparseLayers
from .sparse_network import SparseNetwork
from .sparse_training import cosine, drop_and_grow, erk_shares, random_masks, set_masks
from .steps import StepFollower


class DropAndGrow(StepFollower):
    """Changes the masks of a network after some of its optimiser's steps.

    Drops the smallest of the kept weights and keeps as many others, those with the largest
    gradients in that step, over all layers together, see :func:`.drop_and_grow`. The share that
    is dropped falls to 0 along a cosine. Layers that compute in another shape than they store
    (fused up- and downsampling) keep their first mask.

    Args:
        network: Its rule is :class:`.StoredMask`.
        density: Share of the weights to keep, in (0, 1].
        every: Steps from one change to the next; None: masks change when another network's
            change asks for it.
        drop: Share of the kept weights that is dropped at first. Defaults to 0.5.
        steps: Steps in the whole run, after which nothing is dropped.
        partners: Those that this one asks; they change at their next step.

    Attributes:
        density: The share; once changed, the next change of the masks keeps that many.
        taken: Steps so far.

    Source: Wang et al., Balanced Training for Sparse GANs, NeurIPS 2023.
    """

    def __init__(
        self,
        network: SparseNetwork,
        density: float,
        every: int | None = None,
        drop: float = 0.5,
        steps: int = 1,
        partners: Sequence[DropAndGrow] = (),
    ) -> None:
        super().__init__(network)
        self.density = self._reached = density
        self.every, self.drop, self.steps = every, drop, steps
        self.partners = partners
        self.taken = 0
        self._due: float | None = None
        self._gradients: dict[MaskedLayer, Tensor] = {}

    def start(self, seed: int) -> None:
        """Makes the first masks, at random with the densities of Erdos-Renyi-Kernel.

        Weights that are masked become 0.

        Args:
            seed: Of the draws.
        """
        shapes = {name: layer.rule.tensor.shape for name, layer in self.network.layers.items()}
        set_masks(self.network, random_masks(shapes, erk_shares(shapes, self.density), seed))
        with torch.no_grad():
            for layer in _changing(self.network):
                layer.info.stored.mul_(layer.rule.tensor)
        self._plan()

    def ask(self, share: float | None) -> None:
        """Lets the masks change at the next step.

        Args:
            share: Of the kept weights that is dropped then; None: no longer.
        """
        self._due = share
        for layer in self.network.layers.values():
            layer.rule.straight_through = share is not None

    def before_step(self, updated: SparseLayers, optimizer: Optimizer) -> None:
        """Keeps the gradients of all weights, before those of masked ones are masked."""
        if self._due is not None and self.network.sparse:
            changing = [layer for layer in _changing(updated) if layer.fired]
            gradients = {layer: layer.info.stored.grad for layer in changing}
            self._gradients = {c: g.clone() for c, g in gradients.items() if g is not None}
        super().before_step(updated, optimizer)

    def after_step(self, updated: SparseLayers) -> None:
        """Changes the masks where that is due."""
        super().after_step(updated)
        self.taken += 1
        if self._gradients:
            self._change(self._due)
            self.ask(None)
        self._plan()

    def state_dict(self) -> dict:
        """Steps taken, densities and what is due."""
        return {
            'taken': self.taken,
            'density': self.density,
            'reached': self._reached,
            'due': self._due,
        }

    def load_state_dict(self, state: dict) -> None:
        """Goes on from what :meth:`state_dict` returned."""
        self.taken = state['taken']
        self.density, self._reached = state['density'], state['reached']
        self.ask(state['due'])

    def _plan(self) -> None:
        if self.every and (self.taken + 1) % self.every == 0:
            self.ask(cosine(self.drop, (self.taken + 1) / self.steps))

    def _change(self, share: float) -> None:
        layers, gradients = list(self._gradients), list(self._gradients.values())
        total = sum(layer.rule.tensor.numel() for layer in layers)
        change = round((self.density - self._reached) * total)
        self._reached = self.density
        weights = [layer.info.stored for layer in layers]
        masks = [layer.rule.tensor for layer in layers]
        found = drop_and_grow(weights, masks, gradients, share, change)
        set_masks(self.network, {c.info.name: m for c, m in zip(layers, found, strict=True)})
        self._gradients = {}
        for partner in self.partners:
            partner.ask(share)


def _changing(layers: SparseLayers) -> list[MaskedLayer]:
    """Layers whose masks have the shape of what they store."""
    every = layers.layers.values()
    return [layer for layer in every if layer.rule.tensor.shape == layer.info.stored.shape]
