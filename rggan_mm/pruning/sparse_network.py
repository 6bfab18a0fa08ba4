"""A network under RG-GAN: its masked layers, thresholds and phase."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError

from .channel_groups import ChannelGroup
from .channel_rules import ChannelRule, ReaderRule
from .layers import LayerInfo, choose_layers, list_layers
from .mask_rules import RULES, MaskRule, ThresholdRule
from .masked_layers import MaskedLayer
from .masks import check_min_keep, count_kept, regularizer
from .same_channels import SameChannels
from .sparse_layers import SparseLayers

MODES = ('published', 'ste')
PHASE = 'sparse_phase'
# Beside it where thresholds are those of whole channels.
CHANNELS = 'channel_granularity'
_ATTACHED = '_rggan_sparse_network'
_NOT_REDUCED = '_ddp_params_and_buffers_to_ignore'  # DistributedDataParallel reads it


class SparseNetwork(SparseLayers):
    """Attaches masks to a network, and controls them.

    By the rule that is the default each prunable layer gains one parameter ``threshold`` of
    shape (C_out,), started at 0; by :class:`.StoredMask` a boolean buffer ``mask``. In the
    sparse phase a layer computes with W * M (M = 1(|W| > t)), in the dense phase with W. The
    network's state dict holds the phase as ``sparse_phase``, 1 or 0. A deep copy of the network
    is a working, independent sparse network, found by :meth:`of`. No method called inside a
    training step synchronises the device; those that return Python numbers do.

    Args:
        network: The module to prune; hooks and the rule's tensors are added in place.
        mode: Threshold gradient. 'published': the regulariser's only. 'ste': the
            task gradient through a straight-through estimator as well.
        min_keep: Limit of the collapse guard, in [0, 1): a layer that keeps this
            share of its weights or less has its thresholds reset to 0 in the same
            forward. None (default): no guard. Published: 0.01.
        layers: The layers to prune, out of :func:`choose_layers`. None (default): all
            that can be pruned.
        rule: Which weights are kept. Defaults to the published thresholds.
        groups: Channels that are pruned as a whole, of layers in ``layers``; from
            :func:`.find_groups`. Default: none.

    Attributes:
        sparse: The phase; change it with :meth:`set_phase`.
        averaged: True where the network is a moving average of another one; see
            :func:`attach_average`.
        same_channels: Of an average of a network with groups; else None.

    Raises:
        ConfigError: Unknown mode, bad ``min_keep``, nothing to prune, or thresholds or
            masks that exist already.
    """

    def __init__(
        self,
        network: nn.Module,
        mode: str = 'published',
        min_keep: float | None = None,
        layers: Sequence[LayerInfo] | None = None,
        rule: type[MaskRule] = ThresholdRule,
        groups: Sequence[ChannelGroup] = (),
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f'mode={mode!r} must be one of {", ".join(MODES)}')
        self.network = network
        self.mode = mode
        self.min_keep = check_min_keep(min_keep)
        self.rule = rule
        self.sparse = True
        self.averaged = False
        self.same_channels: SameChannels | None = None
        self.on_detach: list[Callable[[], object]] = []
        self._recalled: dict[str, tuple[int, int]] = {}
        _refuse_twice(network)
        infos = choose_layers(network) if layers is None else layers
        if not infos:
            kind = type(network).__name__
            raise ConfigError(f'{kind}: nothing in it is prunable, or all is excluded')
        self.groups = tuple(groups)
        super().__init__(self._layers(infos))
        self._handles = [
            network._register_state_dict_hook(self._write_phase),
            network._register_load_state_dict_pre_hook(self._read_phase),
        ]
        network.__dict__[_ATTACHED] = self
        self._keep_from_reducer()
        _recompile_later()

    def __repr__(self) -> str:
        """Phase, number of layers and keep ratio; waits for the device."""
        phase = 'sparse' if self.sparse else 'dense'
        return (
            f'{type(self).__name__}({type(self.network).__name__}, {phase} phase, '
            f'{len(self.layers)} layers, keep ratio {self.keep_ratio():.3f})'
        )

    def __getstate__(self) -> dict:
        """What a copy takes along; optimisers follow the original alone."""
        return {**vars(self), 'on_detach': []}

    @staticmethod
    def of(network: nn.Module) -> SparseNetwork | None:
        """The sparse network attached to a module (or to its deep copy), if any."""
        return network.__dict__.get(_ATTACHED)

    def detach(self) -> None:
        """Removes masks and hooks; the network and its optimisers are what they were."""
        while self.on_detach:
            self.on_detach.pop()()
        for handle in self._handles:
            handle.remove()
        for layer in self.layers.values():
            layer.detach()
        self._keep_from_reducer(keep=False)
        del self.network.__dict__[_ATTACHED]
        _recompile_later()

    def set_phase(self, sparse: bool) -> None:
        """Switches the phase; masks and threshold gradients are forgotten."""
        self.sparse = bool(sparse)
        self._recalled = {}
        self.end_step()
        for layer in self.layers.values():
            layer.kept = None

    @contextmanager
    def without_masks(self) -> Iterator[None]:
        """Lets layers make their weights without masks for a while."""
        sparse, self.sparse = self.sparse, False
        try:
            yield
        finally:
            self.sparse = sparse

    def regularizer(self, lam: float) -> Tensor:
        """Value of the regulariser (0-d); 0 in dense phases and without thresholds."""
        thresholds = [t.detach() for t in self.thresholds.values()]
        if not (self.sparse and thresholds):
            return torch.zeros((), device=next(self.network.parameters()).device)
        return regularizer(thresholds, lam)

    def keep_ratios(self) -> dict[str, float]:
        """Keep ratio per layer at its last forward; 1.0 in dense phases."""
        ratios = {name: kept / total for name, (kept, total) in self.counts().items()}
        return {name: ratios.get(name, 1.0) for name in self.layers}

    def keep_ratio(self) -> float:
        """Kept prunable weights / prunable weights at the last forward, in [0, 1].

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
        found = {name: layer.rule.guard_count for name, layer in self.layers.items()}
        seen = {name: count for name, count in found.items() if count is not None}
        counts = torch.stack(list(seen.values())).tolist() if seen else []
        return {name: count for name, count in zip(seen, counts, strict=True) if count}

    def _keep_from_reducer(self, keep: bool = True) -> None:
        """Names the rule's tensors to a DistributedDataParallel made later, or no longer.

        It would wait for gradients of thresholds, which a :class:`ThresholdOptimizer` averages.
        """
        own = [f'{n}.{layer.rule.name}' for n, layer in self.layers.items() if layer.rule.name]
        others = [name for name in vars(self.network).get(_NOT_REDUCED, ()) if name not in own]
        setattr(self.network, _NOT_REDUCED, others + own if keep else others)

    def _layers(self, infos: Sequence[LayerInfo]) -> dict[str, MaskedLayer]:
        """Masked layers by name; those that read pruned channels are among them."""
        makers, readers = ({getattr(g, of) for g in self.groups} for of in ('producer', 'consumer'))
        own = {info.name for info in infos}
        layers = {}
        for info in list_layers(self.network) if readers else infos:
            if info.name in own | readers:
                kind = self.rule if info.name in own else ReaderRule
                kind = ChannelRule if info.name in makers else kind
                layers[info.name] = MaskedLayer(info, self, kind(info, self))
        for group in self.groups:
            layers[group.consumer].reads = layers[group.producer]
        return layers

    def _sums(self) -> tuple[int, int]:
        counts = self.counts().values()
        return sum(kept for kept, _ in counts), sum(total for _, total in counts)

    def _write_phase(self, module: nn.Module, state_dict: dict, prefix: str, *_: object) -> None:
        # A number: averages take differences of what is in a state dict.
        state_dict[prefix + PHASE] = torch.tensor(int(self.sparse))
        if self.groups:
            state_dict[prefix + CHANNELS] = torch.tensor(1)

    def _read_phase(self, state_dict: dict, prefix: str, *_: object) -> None:
        by_channel = bool(state_dict.pop(prefix + CHANNELS, False))
        if prefix + PHASE in state_dict and by_channel != bool(self.groups):
            kind = 'channels' if by_channel else 'weights'
            raise ConfigError(
                f'{prefix or "network"}: the checkpoint has thresholds of {kind}, the network has '
                'not; set granularity as it was trained'
            )
        saved = torch.as_tensor(state_dict.pop(prefix + PHASE, self.sparse))
        if saved.numel() != 1:
            raise ConfigError(
                f'{prefix}{PHASE} has shape {tuple(saved.shape)}; it must be one number: 1 for '
                'sparse or 0 for dense'
            )
        sparse = bool(saved)
        if sparse != self.sparse:
            self.set_phase(sparse)


def attach_average(average: nn.Module, source: SparseNetwork) -> SparseNetwork:
    """Makes a moving average of a sparse network sparse in the same layers.

    Args:
        average: A module of the same structure, without a wrapper; a deep copy of the
            sparse network has thresholds already.
        source: The network that it averages.

    Returns:
        The average's sparse network, in the source's phase. Its thresholds are no leaves of
        training: whoever averages parameters averages them too. Its stored masks and its
        channels are the source's.
    """
    sparse = SparseNetwork.of(average)
    if sparse is None:
        own = {name for name, layer in source.layers.items() if layer.rule.name}
        layers = [info for info in choose_layers(average) if info.name in own]
        rules = source.rule, source.groups
        sparse = SparseNetwork(average, source.mode, source.min_keep, layers, *rules)
    sparse.averaged = True
    if sparse.sparse != source.sparse:
        sparse.set_phase(source.sparse)
    for threshold in sparse.thresholds.values():
        threshold.requires_grad_(False)
    for name, layer in sparse.layers.items():
        layer.rule.follow(source.layers[name].rule)
    if source.groups:
        sparse.same_channels = SameChannels(sparse, source)
        sparse._handles += sparse.same_channels.register()
    return sparse


def _recompile_later() -> None:
    # Compiled code does not look at the hooks of a module again.
    dynamo = sys.modules.get('torch._dynamo')
    if dynamo is not None:
        dynamo.reset()


def _refuse_twice(network: nn.Module) -> None:
    for name, module in network.named_modules():
        for tensor in RULES:
            if tensor in module._parameters or tensor in module._buffers:
                raise ConfigError(
                    f'{type(network).__name__}: layer {name!r} has a {tensor} already; '
                    'a network can be made sparse only once'
                )
