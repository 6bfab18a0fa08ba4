"""RG-GAN for a training loop of one's own: one object for all networks."""

from collections.abc import Mapping, Sequence
from functools import partial

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from rggan_mm.close_names import did_you_mean
from rggan_mm.errors import ConfigError

from .channel_groups import choose_channels, find_groups
from .channel_rules import check_granularity
from .counting_keep_ratio import CountingKeepRatio
from .folding import fold as fold_masks
from .layers import apply_patterns, list_layers
from .phase_rule import PhaseRule
from .sparse_network import SparseNetwork, attach_average
from .strength import check_steps, lam_or_keep_ratio, of_network, reach_beside
from .thresholds import BETAS, EPS, LR, ThresholdOptimizer

_WRAPPERS = (DistributedDataParallel, nn.DataParallel, AveragedModel)


class RGGAN:
    """Prunes the networks of a GAN while they train, and brings the weights back.

    The networks gain thresholds, which step with the networks' optimisers; call
    :meth:`evaluated` with each FID, and the published rule switches all networks between
    sparse and dense training. The order in which networks, optimisers, averages and
    DistributedDataParallel were made does not matter, with one exception: where it wraps a
    module that holds a network, and not the network itself, make it first.

    Args:
        networks: Modules to prune by name, wrapped in DistributedDataParallel or not.
        optimizers: The optimiser of each network, or a list of them, by the network's name.
            Networks without one keep their thresholds; see :meth:`follow`.
        averages: A moving average of a network by the network's name: a module of the same
            structure, or ``torch.optim.swa_utils.AveragedModel``. It follows the
            phase; averaging its parameters, thresholds included, is the loop's job.
        lam: Weight lambda of the sparsity regulariser, finite and >= 0, or one by network.
            None (default): the published 1e-12 where ``keep_ratio`` is None as well.
        mode: Threshold gradient: 'published' (the regulariser's only; default) or 'ste'
            (straight-through task gradient as well).
        min_keep: Limit of the collapse guard, in [0, 1); None: no guard. Defaults to the
            published 0.01.
        include: Glob patterns of what to prune, as NETWORK.LAYER or any module on the way
            there. None (default): everything.
        exclude: Glob patterns of what to leave dense.
        lr: Learning rate of the thresholds. Defaults to the published 2e-4.
        betas: Adam's betas for the thresholds. Defaults to (0.0, 0.9).
        eps: Adam's eps for the thresholds. Defaults to 1e-8.
        keep_ratio: Share of the weights to keep, in (0, 1), or one by network, in place of
            ``lam``: lambda then follows from the weights, at the first step and at each
            evaluation (20 times in the run, where there is none). None (default): not named.
        steps: Optimiser steps of the networks in the whole run, or by network; only with
            ``keep_ratio``.
        reach: Fraction of the steps at which the keep ratio is reached; it is held after
            that. None (default): 0.75.
        granularity: 'weight' (default); 'channel': whole output channels where they can be cut
            exactly, other layers dense; 'mixed': other layers by weight; or one by network.
        examples: Arguments that a network is called with, by its name: a tuple of tensors. Those
            pruned by channel are called with them to find their channels.

    Attributes:
        sparse_networks: The :class:`SparseNetwork` of each network.
        averages: That of each average, by the network's name.
        rule: The :class:`PhaseRule`.

    Raises:
        ConfigError: A bad setting, nothing to prune, a name that is no network.

    Source: Saxena et al., RG-GAN, AAAI 2024.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer | Sequence[Optimizer]] | None = None,
        averages: Mapping[str, nn.Module] | None = None,
        lam: float | Mapping[str, float] | None = None,
        mode: str = 'published',
        min_keep: float | None = 0.01,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        lr: float = LR,
        betas: tuple[float, float] = BETAS,
        eps: float = EPS,
        keep_ratio: float | Mapping[str, float] | None = None,
        steps: int | Mapping[str, int] | None = None,
        reach: float | None = None,
        granularity: str | Mapping[str, str] = 'weight',
        examples: Mapping[str, Sequence[object]] | None = None,
    ) -> None:
        by_network = {'optimizers': optimizers, 'averages': averages, 'lam': lam}
        by_network.update(keep_ratio=keep_ratio, steps=steps)
        by_network.update(granularity=granularity, examples=examples)
        for field, named in by_network.items():
            _refuse_unknown(field, named, networks)
        lam, keep_ratio = lam_or_keep_ratio(lam, keep_ratio)
        reach = reach_beside(keep_ratio, reach, steps)
        self.rule = PhaseRule()
        kinds = {name: of_network('granularity', granularity, name) for name in networks}
        for kind in kinds.values():
            check_granularity(kind, mode)
        # Wrong settings first: nothing is attached then.
        lams = {name: of_network('lam', 0.0 if lam is None else lam, name) for name in networks}
        shares, counts = _targets(networks, keep_ratio, steps)
        self.sparse_networks = _attach(networks, mode, min_keep, include, exclude, kinds, examples)
        self.averages = {
            name: attach_average(_unwrap(average), self.sparse_networks[name])
            for name, average in (averages or {}).items()
        }
        self.threshold_optimizers = {
            name: ThresholdOptimizer(network, lams[name], lr, betas, eps)
            for name, network in self.sparse_networks.items()
        }
        self._targets = {
            name: CountingKeepRatio(self.threshold_optimizers[name], share, counts[name], reach)
            for name, share in shares.items()
        }
        for name, given in (optimizers or {}).items():
            for optimizer in [given] if isinstance(given, Optimizer) else given:
                self.follow(name, optimizer)

    def __repr__(self) -> str:
        """Phase, layers and keep ratio of each network; waits for the device."""
        return f'RGGAN({", ".join(f"{n}={net!r}" for n, net in self.sparse_networks.items())})'

    @property
    def sparse(self) -> bool:
        """The phase: True while the networks compute with their masks."""
        return self.rule.sparse

    def follow(self, network: str, optimizer: Optimizer) -> None:
        """Steps a network's thresholds with an optimiser that was made later.

        Args:
            network: Name of the network.
            optimizer: Its optimiser; thresholds in it are taken out.
        """
        if network in self._targets:
            self._targets[network].count(optimizer)
        siblings = list(self.sparse_networks.values())
        self.threshold_optimizers[network].follow(optimizer, siblings=siblings)

    def evaluated(self, fid: float) -> bool:
        """Takes one evaluation into account; all networks and averages switch together.

        With ``keep_ratio`` lambda is corrected.

        Args:
            fid: The metric, lower is better. NaN and infinity are left out.

        Returns:
            True when the phase switched.
        """
        for target in self._targets.values():
            target.evaluated()
        switched = self.rule.update(fid)
        if switched:
            self._set_phase(self.rule.sparse)
        return switched

    def keep_ratios(self) -> dict[str, float]:
        """Keep ratio in [0, 1] of each network at its last forward, averages as NAME_average."""
        ratios = {name: network.keep_ratio() for name, network in self.sparse_networks.items()}
        averages = {f'{name}_average': net.keep_ratio() for name, net in self.averages.items()}
        return {**ratios, **averages}

    def state_dict(self) -> dict:
        """What a stopped loop needs beside the state of networks, averages and optimisers."""
        return {
            'rule': self.rule.state_dict(),
            'optimizers': {n: opt.state_dict() for n, opt in self.threshold_optimizers.items()},
            'counts': {name: net.counts() for name, net in self.sparse_networks.items()},
            'keep_ratio': {name: target.state_dict() for name, target in self._targets.items()},
        }

    def load_state_dict(self, state: dict) -> None:
        """Goes on from what :meth:`state_dict` returned."""
        self.rule.load_state_dict(state['rule'])
        self._set_phase(self.rule.sparse)
        for name, optimizer in self.threshold_optimizers.items():
            optimizer.load_state_dict(state['optimizers'][name])
            self.sparse_networks[name].recall(state['counts'][name])
        for name, target in self._targets.items():
            if name in state.get('keep_ratio', {}):
                target.load_state_dict(state['keep_ratio'][name])

    def remove(self, fold: bool = False) -> None:
        """Takes thresholds and hooks away; training goes on as if there had been none.

        Args:
            fold: Whether weights that are masked become 0 first, as
                ``torch.nn.utils.prune.remove`` does, so that in eval mode the networks
                compute what they computed. Default: False: every weight comes back.

        Raises:
            ConfigError: ``fold`` with a layer whose stored weight cannot hold the zeros; nothing
                has changed then.
        """
        networks = [*self.sparse_networks.values(), *self.averages.values()]
        if fold:
            fold_masks(networks)
        for network in networks:
            network.detach()

    def _set_phase(self, sparse: bool) -> None:
        for network in (*self.sparse_networks.values(), *self.averages.values()):
            if network.sparse != sparse:
                network.set_phase(sparse)


def _targets(
    networks: Mapping[str, nn.Module],
    keep_ratio: float | Mapping[str, float] | None,
    steps: int | Mapping[str, int] | None,
) -> tuple[dict[str, float], dict[str, int]]:
    """Wanted keep ratio and optimiser steps by network; none without a keep ratio."""
    if keep_ratio is None:
        return {}, {}
    shares = {name: of_network('keep_ratio', keep_ratio, name) for name in networks}
    return shares, {name: check_steps(of_network('steps', steps, name)) for name in networks}


def _attach(
    networks: Mapping[str, nn.Module],
    mode: str,
    min_keep: float | None,
    include: Sequence[str] | None,
    exclude: Sequence[str],
    granularity: Mapping[str, str],
    examples: Mapping[str, Sequence[object]] | None,
) -> dict[str, SparseNetwork]:
    plain = {name: _unwrap(network) for name, network in networks.items()}
    found = {
        (name, info.name): info for name, network in plain.items() for info in list_layers(network)
    }
    judged = apply_patterns({'.'.join(key): found[key] for key in found}, include, exclude)
    sparse = {}
    for name, network in plain.items():
        infos, groups = [judged['.'.join(key)] for key in found if key[0] == name], []
        if granularity[name] != 'weight':
            groups = find_groups(network, partial(network, *_example(name, examples)))
            infos, groups = choose_channels(name, infos, groups, granularity[name] == 'mixed')
        wanted = [info for info in infos if info.prunable]
        sparse[name] = SparseNetwork(network, mode, min_keep, wanted, groups=groups)
    return sparse


def _example(name: str, examples: Mapping[str, Sequence[object]] | None) -> Sequence[object]:
    if name not in (examples or {}):
        raise ConfigError(
            f'examples: there is none for {name!r}, whose channels are found by calling it; give '
            f'examples=dict({name}=(...)), the arguments of one call'
        )
    return examples[name]


def _unwrap(network: nn.Module) -> nn.Module:
    while isinstance(network, _WRAPPERS):
        network = network.module
    return network


def _refuse_unknown(field: str, named: object, networks: Mapping[str, nn.Module]) -> None:
    for name in named if isinstance(named, Mapping) else ():
        if name not in networks:
            raise ConfigError(
                f'{field}: there is no network {name!r}{did_you_mean(name, networks)}; '
                f'there is: {", ".join(networks)}'
            )
