"""Re-GAN: every tensor of a network loses its smallest numbers in some stretches of training."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .sparse_layers import SparseLayers
from .sparse_network import SparseNetwork
from .steps import StepFollower


class QuantileMasks(StepFollower):
    """Prunes each parameter of a network by its own quantile, and lets it regrow from 0.

    In a sparse stretch the numbers below the quantile of |w|, tensor by tensor, are masked. They
    and their gradients become 0 before each step. In a dense stretch they learn again, from 0.

    Masks of layers are stored beside their weights. Those of all other parameters (biases,
    norms, embeddings, weights of fused kernels) are in :attr:`others`: where a number is 0, its
    mask changes no forward.

    Args:
        network: Its rule is :class:`.StoredMask`.
        sparsity: The quantile, in (0, 1).
        dense_lr: What the learning rate is multiplied with in dense stretches.

    Attributes:
        others: Masks by name of the parameter; empty in dense stretches.
        due: Whether the next step renews the masks.
        slow: Whether the learning rate is multiplied with ``dense_lr``.

    Source: Saxena et al., Re-GAN, CVPR 2023.
    """

    def __init__(self, network: SparseNetwork, sparsity: float, dense_lr: float) -> None:
        super().__init__(network)
        self.sparsity, self.dense_lr = sparsity, dense_lr
        self.others: dict[str, Tensor] = {}
        self.due = self.slow = False
        self._rates: list[tuple[dict, float | Tensor]] = []

    def begin_epoch(self, sparse: bool, slow: bool = False) -> None:
        """Begins an epoch of a sparse or a dense stretch.

        Args:
            sparse: Which; masks are renewed before the first step of a sparse epoch.
            slow: Whether steps are taken with ``dense_lr``.
        """
        self.due, self.slow = sparse, slow
        if sparse != self.network.sparse:
            self.network.set_phase(sparse)
            self.others = {}
            for layer in self.network.layers.values():
                layer.rule.tensor.fill_(True)

    def before_step(self, updated: SparseLayers, optimizer: Optimizer) -> None:
        """Sets masked numbers and gradients to 0, or slows the step down."""
        if self.slow:
            self._rates = [(group, group['lr']) for group in optimizer.param_groups]
            for group, rate in self._rates:
                group['lr'] = rate * self.dense_lr
        if self.due:
            self.due = False
            self._renew()
        if self.network.sparse:
            with torch.no_grad():
                for parameter, mask in self._masks():
                    parameter.mul_(mask)
                    if parameter.grad is not None:
                        parameter.grad.mul_(mask)

    def after_step(self, updated: SparseLayers) -> None:
        """Gives the optimiser its learning rates back."""
        while self._rates:
            group, rate = self._rates.pop()
            group['lr'] = rate
        super().after_step(updated)

    def state_dict(self) -> dict:
        """The masks that are beside no weight, and what the next step does."""
        return {'others': dict(self.others), 'due': self.due, 'slow': self.slow}

    def load_state_dict(self, state: dict) -> None:
        """Goes on from what :meth:`state_dict` returned."""
        parameters = dict(self.network.network.named_parameters())
        saved = state['others'].items()
        self.others = {name: mask.to(parameters[name].device) for name, mask in saved}
        self.due, self.slow = state['due'], state['slow']

    def _renew(self) -> None:
        stored = self._stored()
        for name, parameter in self.network.network.named_parameters():
            mask = parameter.detach().abs() >= _quantile(parameter.detach().abs(), self.sparsity)
            if name in stored:
                stored[name].copy_(mask)
            else:
                self.others[name] = mask

    def _masks(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        masks = {**self._stored(), **self.others}
        for name, parameter in self.network.network.named_parameters():
            if name in masks:
                yield parameter, masks[name]

    def _stored(self) -> dict[str, Tensor]:
        """Masks beside weights of their shape, by name of the parameter."""
        return {
            f'{name}.{layer.info.parameter}' if name else layer.info.parameter: layer.rule.tensor
            for name, layer in self.network.layers.items()
            if layer.rule.tensor.shape == layer.info.stored.shape
        }


def _quantile(values: Tensor, share: float) -> Tensor:
    """As ``torch.quantile``, which takes no more than 16 million numbers."""
    ordered = values.flatten().sort().values
    place = share * (ordered.numel() - 1)
    low = int(place)
    return torch.lerp(ordered[low], ordered[min(low + 1, ordered.numel() - 1)], place - low)
