"""A network under RG-GAN: its pruned layers, thresholds and phase."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError

from .layers import LayerInfo, choose_layers, output_channels
from .masks import count_kept, exceeds, regularizer, reset_collapsed, ste_mask, threshold_shape

THRESHOLD = 'threshold'
MODES = ('published', 'ste')
_ATTACHED = '_rggan_sparse_network'


class MaskedLayer:
    """Masks the tensor that one layer multiplies with, while it computes.

    The masked weight stands in for the layer's own only between a forward
    pre-hook and a forward hook, so parameters and their names do not change. All
    hooks are bound methods: a deep copy of the network copies this object with it.

    Args:
        info: The layer.
        network: The sparse network that the layer belongs to; it holds the phase,
            the gradient mode and the collapse guard's limit.

    Attributes:
        kept: The mask of the last forward; None before one in this sparse phase. Numbers 0
            and 1 in the weight's dtype where gradients are computed, which need them, else
            booleans, which take less memory.
        fired: Whether the layer has computed since the last optimiser step.
    """

    def __init__(self, info: LayerInfo, network: SparseNetwork) -> None:
        self.info = info
        self.network = network
        self.kept: Tensor | None = None
        self.fired = False
        self.guard_count: Tensor | None = None
        self._unmasked: dict[str, object] = {}
        self._computing = False
        weight = info.stored
        info.module.register_parameter(
            THRESHOLD, nn.Parameter(weight.new_zeros(output_channels(info)))
        )
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

    def masked(self, weight: Tensor) -> Tensor:
        """Returns weight * M; keeps M and applies the collapse guard first."""
        shape = threshold_shape(self.info.module, weight, self.info.out_dim)
        with torch.no_grad():
            kept = self._guarded_mask(weight, shape)
        self.kept = kept if torch.is_grad_enabled() else kept.bool()
        self.fired = True
        if self.network.mode == 'ste':
            return weight * ste_mask(weight, self.threshold, shape, kept)
        return weight * kept

    def _guarded_mask(self, weight: Tensor, shape: list[int]) -> Tensor:
        size = weight.abs()
        if self.network.min_keep is None:
            return exceeds(size, self.threshold, shape, in_place=True)
        kept = exceeds(size, self.threshold, shape)
        collapsed = reset_collapsed(self.threshold, kept, self.network.min_keep)
        if self.guard_count is None:
            self.guard_count = torch.zeros((), dtype=torch.int64, device=weight.device)
        # A new tensor: one that was made in inference mode does not change in place.
        self.guard_count = self.guard_count.to(weight.device) + collapsed
        return exceeds(size, self.threshold, shape, in_place=True)

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
        self._restore()
        if not self.network.sparse:
            return
        self._computing = True
        if self.info.source == 'attribute':
            self._shadow('weight', self.masked(module.weight))
        elif self.info.source == 'method':
            compute = module.sn_weight
            self._shadow('sn_weight', lambda: self.masked(compute()))

    def _after_forward(self, module: nn.Module, args: tuple, output: object) -> None:
        self._restore()

    def _restore(self) -> None:
        if not self._computing:
            return
        self._computing = False
        own = self.info.module.__dict__
        for name, value in self._unmasked.items():
            del own[name]
            if value is not None:
                own[name] = value
        self._unmasked.clear()

    def _shadow(self, name: str, value: object) -> None:
        # An instance attribute hides a parameter or method of the same name.
        self._unmasked[name] = self.info.module.__dict__.get(name)
        self.info.module.__dict__[name] = value

    def _mask_parametrization(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        return self.masked(output) if self._computing else output

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
    def of(network: nn.Module) -> SparseNetwork | None:
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
