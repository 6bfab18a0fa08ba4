"""A network under RG-GAN: its pruned layers, thresholds and phase."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError

from .layers import LayerInfo
from .masked_layer import THRESHOLD, MaskedLayer
from .masks import count_kept, regularizer
from .selection import choose_layers
from .sparse_layers import SparseLayers

MODES = ('published', 'ste')
_ATTACHED = '_rggan_sparse_network'


class SparseNetwork(SparseLayers):
    """Attaches thresholds and masks to a network, and controls them.

    Each prunable layer gains one parameter ``threshold`` of shape (C_out,),
    started at 0; every other parameter name and state-dict key stays. In the
    sparse phase a layer computes with W * 1(|W| > t), in the dense phase with W.
    A deep copy of the network is a working, independent sparse network, found by
    :meth:`of`. No method called inside a training step synchronises the device;
    those that return Python numbers do.

    Args:
        network: The module to prune; hooks and thresholds are added in place.
        mode: Threshold gradient. 'published': the regulariser's only. 'ste': the
            task gradient through a straight-through estimator as well.
        min_keep: Limit of the collapse guard, in [0, 1): a layer that keeps this
            share of its weights or less has its thresholds reset to 0 in the same
            forward. None (default): no guard. Published: 0.01.
        layers: The layers to prune, out of :func:`choose_layers`. None (default): all
            that can be pruned.

    Attributes:
        sparse: The phase; change it with :meth:`set_phase`.
        averaged: True where the network is a moving average of another one; whoever
            attaches to an average sets it.

    Raises:
        ConfigError: Unknown mode, bad ``min_keep``, nothing to prune, or thresholds
            that are there already.
    """

    def __init__(
        self,
        network: nn.Module,
        mode: str = 'published',
        min_keep: float | None = None,
        layers: Sequence[LayerInfo] | None = None,
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f'mode={mode!r} must be one of {", ".join(MODES)}')
        self.network = network
        self.mode = mode
        self.min_keep = check_min_keep(min_keep)
        self.sparse = True
        self.averaged = False
        self._recalled: dict[str, tuple[int, int]] = {}
        _refuse_twice(network)
        infos = choose_layers(network) if layers is None else layers
        _refuse_nothing(network, infos)
        super().__init__({info.name: MaskedLayer(info, self) for info in infos})
        network.__dict__[_ATTACHED] = self

    @staticmethod
    def of(network: nn.Module) -> 'SparseNetwork | None':
        """The sparse network attached to a module (or to its deep copy), if any."""
        return network.__dict__.get(_ATTACHED)

    def detach(self) -> None:
        """Removes thresholds and hooks; the network is exactly what it was."""
        for layer in self.layers.values():
            layer.detach()
        del self.network.__dict__[_ATTACHED]

    def set_phase(self, sparse: bool) -> None:
        """Switches the phase; a dense phase forgets masks and threshold gradients."""
        self.sparse = bool(sparse)
        self._recalled = {}
        self.end_step()
        for layer in self.layers.values():
            layer.kept = None

    def regularizer(self, strength: float) -> Tensor:
        """Value of the regulariser (0-d); 0 in dense phases."""
        if not self.sparse:
            return torch.zeros((), device=next(self.network.parameters()).device)
        return regularizer((t.detach() for t in self.thresholds.values()), strength)

    def keep_ratios(self) -> dict[str, float]:
        """Kept share per layer at its last forward; 1.0 in dense phases."""
        shares = {name: kept / total for name, (kept, total) in self.counts().items()}
        return {name: shares.get(name, 1.0) for name in self.layers}

    def keep_ratio(self) -> float:
        """Kept share of the prunable weights at the last forward, in [0, 1].

        In a sparse phase only layers that have computed in it count: scales that have
        not grown yet are neither kept nor pruned.
        """
        kept, total = self._sums()
        return kept / total if total else 1.0

    def pruned_count(self) -> int:
        """Number of weights that were masked at the last forward."""
        kept, total = self._sums()
        return total - kept

    def counts(self) -> dict[str, tuple[int, int]]:
        """Kept weights and weights at the last forward, of layers that computed in this phase.

        Synchronises the device once.
        """
        masks = {n: layer.kept for n, layer in self.layers.items() if layer.kept is not None}
        counts = [count_kept(mask).long() for mask in masks.values()]
        kept = torch.stack(counts).tolist() if counts else []
        seen = {name: (k, masks[name].numel()) for name, k in zip(masks, kept, strict=True)}
        return {**self._recalled, **seen}

    def recall(self, counts: Mapping[str, Sequence[int]]) -> None:
        """Takes back what :meth:`counts` gave; it stands in until a layer computes."""
        self._recalled = {name: (kept, total) for name, (kept, total) in counts.items()}

    def threshold_mean(self) -> float:
        """Mean of all thresholds."""
        return torch.cat([t.detach().flatten() for t in self.thresholds.values()]).mean().item()

    def guard_counts(self) -> dict[str, int]:
        """How often the collapse guard reset each layer; layers at 0 left out."""
        seen = {n: c.guard_count for n, c in self.layers.items() if c.guard_count is not None}
        counts = torch.stack(list(seen.values())).tolist() if seen else []
        return {name: count for name, count in zip(seen, counts, strict=True) if count}

    def _sums(self) -> tuple[int, int]:
        counts = self.counts().values()
        return sum(kept for kept, _ in counts), sum(total for _, total in counts)


def check_min_keep(value: float | None) -> float | None:
    """Returns the collapse guard's limit, or raises ConfigError outside [0, 1)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value) and 0 <= value < 1):
        raise ConfigError(f'min_keep={value!r} must be a number in [0, 1)')
    return value


def _refuse_nothing(network: nn.Module, infos: Sequence[LayerInfo]) -> None:
    if not infos:
        raise ConfigError(
            f'{type(network).__name__}: nothing in it is prunable, or all is excluded'
        )


def _refuse_twice(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if THRESHOLD in module._parameters:
            raise ConfigError(
                f'{type(network).__name__}: layer {name!r} has a threshold already; '
                'a network can be made sparse only once'
            )
