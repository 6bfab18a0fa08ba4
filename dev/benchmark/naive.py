"""RG-GAN as it is written down first: the yardstick for how it is computed here.

At every forward each layer makes its mask, asks the device how much of it is kept, and
takes a gradient mask of its own. Source: Saxena et al., RG-GAN, AAAI 2024; float32.
"""

import torch
from torch import Tensor

from rggan_mm.pruning import SparseNetwork
from rggan_mm.pruning.mask_rules import ThresholdRule
from rggan_mm.pruning.masks import threshold_shape

MODE = 'naive'


class NaiveRule(ThresholdRule):
    """The thresholds without any of the savings."""

    def masked(self, weight: Tensor, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """Returns weight * M and M; waits for the device to learn whether M collapsed."""
        shape = threshold_shape(self.info.module, weight, self.info.out_dim)
        mask = self._numbers(weight, shape)
        ratio = torch.sum(mask) / mask.numel()
        if self.network.min_keep is not None and ratio <= self.network.min_keep:
            with torch.no_grad():
                self.tensor.zero_()
            mask = self._numbers(weight, shape)
        self._mask_gradient(mask)
        return weight * mask, mask

    def _numbers(self, weight: Tensor, shape: list[int]) -> Tensor:
        with torch.no_grad():
            return (weight.abs() > self.tensor.view(shape)).to(weight.dtype)

    def _mask_gradient(self, mask: Tensor) -> None:
        """The raw weight's gradient is masked by a hook of this forward."""
        stored = self.info.stored
        if not stored.requires_grad:  # a discriminator within the generator's step
            return
        previous = self.__dict__.get('gradient_hook')
        if previous is not None:
            previous.remove()
        self.gradient_hook = stored.register_hook(lambda gradient: gradient * mask)


def make_naive(network: SparseNetwork) -> None:
    """Lets a sparse network compute as the naive reference, from its next forward on.

    Args:
        network: In mode 'published', of layers that compute in the shape that they store,
            none of them grouped. Thresholds, regulariser and phase stay as they are.
    """
    network.mode = MODE  # gradients are masked by the layers themselves
    for layer in network.layers.values():
        layer.rule.__class__ = NaiveRule
