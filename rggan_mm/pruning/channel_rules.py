"""Whole channels as what is kept or pruned: one mask for the layer that makes and that reads them.

A channel's magnitude is the root mean square of its weights as the layer multiplies with them,
and M = 1(magnitude > t). The reader's columns carry the same mask, without which biases and
norms would let a pruned channel through. See :mod:`.channel_groups`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rggan_mm.errors import ConfigError

from .layers import LayerInfo, in_dim
from .mask_rules import MaskRule, Settings, ThresholdRule

GRANULARITIES = ('weight', 'channel', 'mixed')


class ChannelRule(ThresholdRule):
    """Keeps an output channel where its magnitude exceeds its threshold; mode 'published' only."""

    def __init__(self, info: LayerInfo, network: Settings) -> None:
        super().__init__(info, network)
        self.handed_on: dict[torch.device, Tensor] = {}

    @torch.no_grad()
    def size(self, weight: Tensor) -> Tensor:
        """Each channel's magnitude at all of its weights."""
        others = [dim for dim in range(weight.ndim) if dim != self.info.out_dim]
        magnitude = weight.square().mean(others, keepdim=True).sqrt_()
        return torch.empty_like(weight).copy_(magnitude)

    def hand_on(self, kept: Tensor) -> None:
        """Leaves the mask for the reader, which computes after this layer."""
        self.handed_on[kept.device] = self.by_channel(kept)

    def by_channel(self, values: Tensor) -> Tensor:
        """One value for each channel, out of those of its weights."""
        return values.transpose(0, self.info.out_dim).flatten(1)[:, 0]


class ReaderRule(MaskRule):
    """Keeps all but the columns of pruned channels; has no thresholds."""

    name = ''

    def keep(self, weight: Tensor, tensor: Tensor | None) -> Tensor:
        """Everything; columns are masked after that."""
        return torch.ones_like(weight, dtype=torch.bool)

    def masked(self, weight: Tensor, tensor: Tensor | None) -> tuple[Tensor, Tensor]:
        """The weight as it is."""
        return weight, weight.new_ones([1] * weight.ndim)

    def distance(self, magnitude: Tensor) -> Tensor:
        """Infinite; the columns' distances are those of their channels."""
        return torch.full_like(magnitude, math.inf)


def as_columns(by_channel: Tensor, reader: LayerInfo, ndim: int) -> Tensor:
    """One value for each channel, in the shape in which they meet a reader's weight."""
    shape = [1] * ndim
    shape[in_dim(reader.module)] = -1
    return by_channel.view(shape)


def check_granularity(value: str, mode: str, name: str = 'granularity') -> str:
    """Returns what is pruned, or raises ConfigError."""
    if value not in GRANULARITIES:
        raise ConfigError(f'{name}={value!r} must be one of {", ".join(GRANULARITIES)}')
    if value != 'weight' and mode == 'ste':
        raise ConfigError(
            f"{name}={value!r} goes with mode='published' alone: behind a norm the task's "
            'gradient says nothing of the size of a channel'
        )
    return value
