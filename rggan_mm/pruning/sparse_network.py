"""A network under RG-GAN: its pruned layers, thresholds and phase."""

import fnmatch
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError

from .layers import LayerInfo, list_layers
from .masked_layer import THRESHOLD, MaskedLayer
from .masks import regularizer

MODES = ('published', 'ste')
_ATTACHED = '_rggan_sparse_network'


class SparseNetwork:
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
        include: Glob patterns of layer names; only those are pruned. None: all.
        exclude: Glob patterns of layer names that stay dense.

    Raises:
        ConfigError: Unknown mode, bad ``min_keep``, a pattern that matches no
            layer, nothing prunable, or thresholds that are there already.
    """

    def __init__(
        self,
        network: nn.Module,
        mode: str = 'published',
        min_keep: float | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f'mode={mode!r} must be one of {", ".join(MODES)}')
        self.network = network
        self.mode = mode
        self.min_keep = check_min_keep(min_keep)
        self.sparse = True
        infos = select_layers(network, include, exclude)
        self.layers = {info.name: MaskedLayer(info, self) for info in infos}
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

    @property
    def thresholds(self) -> dict[str, nn.Parameter]:
        """Thresholds by layer name."""
        return {name: layer.threshold for name, layer in self.layers.items()}

    def set_phase(self, sparse: bool) -> None:
        """Switches the phase; a dense phase forgets masks and threshold gradients."""
        self.sparse = bool(sparse)
        self.end_step()
        for layer in self.layers.values():
            layer.mask = None

    def end_step(self) -> None:
        """Ends one optimiser step: threshold gradients are used up."""
        self.discard_gradients()
        for layer in self.layers.values():
            layer.fired = False

    def discard_gradients(self) -> None:
        """Drops the gradients of all thresholds."""
        for layer in self.layers.values():
            layer.threshold.grad = None

    def regularizer(self, strength: float) -> Tensor:
        """Value of the regulariser (0-d); 0 in dense phases."""
        if not self.sparse:
            return torch.zeros((), device=next(self.network.parameters()).device)
        return regularizer((t.detach() for t in self.thresholds.values()), strength)

    def add_regularizer_gradient(self, strength: float) -> None:
        """Adds the regulariser's gradient, -strength * exp(-t), in sparse phases.

        Layers that did not compute since the last step (scales of a progressive
        network that have not grown yet, or have grown out) are left alone.
        """
        with torch.no_grad():
            for layer in self._fired_layers():
                gradient = torch.exp(-layer.threshold).mul_(-strength)
                previous = layer.threshold.grad
                layer.threshold.grad = gradient if previous is None else previous + gradient

    def mask_raw_gradients(self) -> None:
        """W.grad <- W.grad * M with the M of the last forward (published mode only).

        Where the layer computes with another shape than it stores (fused up- and
        downsampling), the gradient already comes through the mask.
        """
        if self.mode != 'published':
            return
        masks: dict[nn.Parameter, Tensor] = {}
        for layer in self._fired_layers():
            stored = layer.info.stored
            if stored.grad is not None and stored.shape == layer.mask.shape:
                # Layers that share a parameter keep what any of them keeps.
                masks[stored] = masks[stored] | layer.mask if stored in masks else layer.mask
        for stored, mask in masks.items():
            stored.grad.mul_(mask)

    def keep_ratios(self) -> dict[str, float]:
        """Kept share per layer at its last forward; 1.0 in dense phases."""
        kept, totals = self._counts()
        return {name: kept[i] / totals[i] for i, name in enumerate(self.layers)}

    def keep_ratio(self) -> float:
        """Kept share of all prunable weights at the last forward, in [0, 1]."""
        kept, totals = self._counts()
        return sum(kept) / sum(totals)

    def pruned_count(self) -> int:
        """Number of weights that were masked at the last forward."""
        kept, totals = self._counts()
        return sum(totals) - sum(kept)

    def threshold_mean(self) -> float:
        """Mean of all thresholds."""
        return torch.cat([t.detach().flatten() for t in self.thresholds.values()]).mean().item()

    def guard_counts(self) -> dict[str, int]:
        """How often the collapse guard reset each layer; layers at 0 left out."""
        seen = {n: c.guard_count for n, c in self.layers.items() if c.guard_count is not None}
        counts = torch.stack(list(seen.values())).tolist() if seen else []
        return {name: count for name, count in zip(seen, counts, strict=True) if count}

    def _fired_layers(self) -> list[MaskedLayer]:
        return [layer for layer in self.layers.values() if layer.fired]

    def _counts(self) -> tuple[list[int], list[int]]:
        """Kept weights and weights per layer, with one device synchronisation."""
        layers = self.layers.values()
        totals = [
            layer.info.stored.numel() if layer.mask is None else layer.mask.numel()
            for layer in layers
        ]
        counts = [torch.count_nonzero(layer.mask) for layer in layers if layer.mask is not None]
        kept = iter(torch.stack(counts).tolist() if counts else [])
        return [
            total if layer.mask is None else next(kept)
            for layer, total in zip(layers, totals, strict=True)
        ], totals


def check_min_keep(value: float | None) -> float | None:
    """Returns the collapse guard's limit, or raises ConfigError outside [0, 1)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value) and 0 <= value < 1):
        raise ConfigError(f'min_keep={value!r} must be a number in [0, 1)')
    return value


def select_layers(
    network: nn.Module, include: Sequence[str] | None, exclude: Sequence[str]
) -> list[LayerInfo]:
    """The layers of a network that will be pruned.

    Args:
        network: Any module without thresholds.
        include: Glob patterns of names to prune; None means all.
        exclude: Glob patterns of names to leave dense.

    Returns:
        Prunable layers, at least one.

    Raises:
        ConfigError: A pattern matches no prunable layer, nothing is left, or a
            layer has thresholds already.
    """
    _refuse_twice(network)
    layers = [layer for layer in list_layers(network) if layer.prunable]
    _refuse_useless_patterns(layers, [*(include or ()), *exclude])
    chosen = [
        layer
        for layer in layers
        if (include is None or _matches(layer, include)) and not _matches(layer, exclude)
    ]
    if not chosen:
        raise ConfigError(
            f'{type(network).__name__}: nothing in it is prunable, or all is excluded'
        )
    return chosen


def _refuse_twice(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if THRESHOLD in module._parameters:
            raise ConfigError(
                f'{type(network).__name__}: layer {name!r} has a threshold already; '
                'a network can be made sparse only once'
            )


def _matches(layer: LayerInfo, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(layer.name, pattern) for pattern in patterns)


def _refuse_useless_patterns(layers: list[LayerInfo], patterns: Sequence[str]) -> None:
    for pattern in patterns:
        if not any(_matches(layer, [pattern]) for layer in layers):
            raise ConfigError(
                f'pattern {pattern!r} matches no prunable layer; the layers are: '
                + ', '.join(layer.name for layer in layers)
            )
