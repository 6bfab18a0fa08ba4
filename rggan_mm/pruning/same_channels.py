"""Lets an average keep the channels that its network keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .magnitudes import magnitudes

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from .masked_layers import MaskedLayer
    from .sparse_network import SparseNetwork

_BELOW = 1 - 1e-3  # of the size of a channel that is kept: its threshold is no higher


class SameChannels:
    """Sets the thresholds of an average so that it keeps the channels that its network keeps.

    Norms of a network no longer see a channel that is pruned: its running variance goes to 0.
    An average has those statistics, and lags behind with weights and thresholds: a channel that
    it still kept would be divided by nothing. So the average's threshold is as far from the size
    of its channel, in proportion, as the network's is. That is done ahead of each forward of the
    average and before its state dict is taken; what has been averaged of thresholds in between
    does not count.

    Args:
        average: The average's sparse network.
        source: The network that it averages.
    """

    def __init__(self, average: SparseNetwork, source: SparseNetwork) -> None:
        self.average = average
        self.source = source
        self.names = list(dict.fromkeys(group.producer for group in source.groups))

    def register(self) -> list[RemovableHandle]:
        """Puts the hooks into the average."""
        network = self.average.network
        return [
            network.register_forward_pre_hook(self),
            network.register_state_dict_pre_hook(self),
        ]

    def __call__(self, *_: object) -> None:
        """Sets the thresholds; inside a compiled or traced forward they stay."""
        if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
            self.set()

    @torch.no_grad()
    def set(self) -> None:
        """Sets the thresholds."""
        own = self._sizes(self.average)
        wanted = self._sizes(self.source)
        for name in self.names:
            threshold = self.average.layers[name].rule.tensor
            theirs, limit = wanted[name], self.source.layers[name].rule.tensor.detach()
            size = own[name]
            # A channel of nothing but zeros, such as a folded one, is pruned.
            share = (limit / theirs).nan_to_num(1.0, posinf=1.0).to(size.device)
            kept = (theirs > limit).to(size.device)
            threshold.copy_(torch.where(kept, share.clamp(max=_BELOW), share.clamp(min=1)) * size)

    def _sizes(self, network: SparseNetwork) -> dict[str, Tensor]:
        layers: list[MaskedLayer] = [network.layers[name] for name in self.names]
        with network.without_masks():
            found = magnitudes([layer.info for layer in layers])
        pairs = zip(self.names, layers, found, strict=True)
        return {n: layer.rule.by_channel(layer.rule.size(size)) for n, layer, size in pairs}
