"""Dynamic pruning: thresholds, masks and their optimiser in a training run."""

from collections.abc import Callable, Mapping, Sequence

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer
from rggan_mm.pruning.channel_rules import check_granularity
from rggan_mm.pruning.optimizers import build_adam
from rggan_mm.pruning.sparse_network import MODES
from rggan_mm.pruning.strength import REACH, check_reach, lam_or_keep_ratio, of_network
from rggan_mm.pruning.thresholds import BETAS, EPS, LR
from rggan_mm.training.hook_base import is_training

from .corrections import Corrections, foretell, refuse_others
from .discovery import (
    check_mapping,
    check_names,
    refuse_unknown,
    sparse_networks,
    trained_sparse_networks,
)
from .sparse_hook import SparseHook


@HOOKS.register_module()
class DynamicPruningHook(SparseHook):
    """Makes every trained network of a GAN sparse, as RG-GAN does.

    Before the run each trained network and its averaged copy gain one trainable
    threshold per output channel; each network's thresholds get an Adam of their own
    that steps with the network's optimiser. At the logger's interval the keep ratio
    and the mean threshold of each network are logged as ``NAME_keep_ratio`` and
    ``NAME_threshold``, and the phase as ``sparse_phase``, 1 or 0.

    Args:
        lam: Weight lambda of the sparsity regulariser lambda * sum(exp(-t)), finite
            and >= 0, or one by network. With Adam a threshold moves by about
            lr * lam / (lam + eps) per step, so lam matters through eps only. Defaults to
            the published 1e-12 where ``keep_ratio`` is None as well.
        keep_ratio: Share of the weights to keep, in (0, 1), or one by network, in place of
            ``lam``: lambda then follows from the weights, the thresholds and the steps that are
            left, when the run starts and after each validation. None (default): not named.
        reach: Fraction of the run at which the keep ratio is reached; it is held after that.
            None (default): 0.75.
        out_of_reach: What a run does that is too short for its keep ratio: 'error' (default), or
            'warn' and prune as much as it can, as with the keep ratios that our configs set.
        mode: Threshold gradient: 'published' (the regulariser's only; default) or
            'ste' (straight-through task gradient as well).
        granularity: What a mask keeps or prunes: single weights ('weight', the default), or whole
            output channels, of the layers where they can be cut exactly ('channel': other layers
            stay dense; 'mixed': other layers by weight); or one by network. Only in mode
            'published'.
        networks: Names of the model's networks to prune; None (default): every
            trained one.
        include: Glob patterns of what to prune, as NETWORK.LAYER or any module on the
            way there, such as 'generator' or '*.to_rgb*'. None (default): everything.
        exclude: Glob patterns of what to leave dense.
        averages: Averaged copies by name, with the network that each one averages;
            None (default): found by their class, name and shapes.
        optimizers: Keys of ``optim_wrapper`` by network, where not all optimisers that
            hold a network's weights count.
        lr: Learning rate of the thresholds. Defaults to the published 2e-4.
        betas: Adam's betas for the thresholds. Defaults to (0.0, 0.9).
        eps: Adam's eps for the thresholds. Defaults to 1e-8.

    Raises:
        ConfigError: Unknown argument or mode, bad ``lam``; when the run starts: a
            network, average, optimiser or layer pattern that the model lacks, nothing
            prunable, a network that no optimiser trains, a checkpoint that does not
            fit.
    """

    def __init__(
        self,
        lam: float | Mapping[str, float] | None = None,
        mode: str = 'published',
        networks: Sequence[str] | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        averages: Mapping[str, str] | None = None,
        optimizers: Mapping[str, Sequence[str]] | None = None,
        lr: float = LR,
        betas: tuple[float, float] = BETAS,
        eps: float = EPS,
        keep_ratio: float | Mapping[str, float] | None = None,
        reach: float | None = None,
        out_of_reach: str = 'error',
        granularity: str | Mapping[str, str] = 'weight',
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f'mode={mode!r} must be one of {", ".join(MODES)}')
        self.lam, self.keep_ratio = lam_or_keep_ratio(lam, keep_ratio)
        self.reach = check_reach(REACH if reach is None else reach)
        # A config's reach stays where a lambda takes the place of its keep ratio.
        self.idle_reach = reach is not None and self.keep_ratio is None
        if out_of_reach not in ('error', 'warn'):
            raise ConfigError(f"out_of_reach={out_of_reach!r} must be 'error' or 'warn'")
        self.out_of_reach = out_of_reach
        self.corrections: Corrections | None = None
        self._corrected = False
        self.mode = mode
        self.choose(networks, include, exclude, averages)
        by_network = isinstance(granularity, Mapping)
        for network, value in granularity.items() if by_network else [('', granularity)]:
            check_granularity(value, mode, f'granularity.{network}'.rstrip('.'))
        self.chosen['granularity'] = self.granularity = granularity
        self.optimizer_keys = {
            network: check_names(f'optimizers.{network}', keys)
            for network, keys in check_mapping('optimizers', optimizers).items()
        }
        self.adam = {'lr': lr, 'betas': betas, 'eps': eps}
        build_adam([torch.zeros(1)], **self.adam)
        self.optimizers: dict[str, ThresholdOptimizer] = {}

    def before_run(self, runner: Runner) -> None:
        """Attaches thresholds, and their optimisers when the run trains."""
        super().before_run(runner)
        if is_training(runner) and not self.optimizers:
            self._build_optimizers(runner)

    def before_train(self, runner: Runner) -> None:
        """Starts sparse, whatever phase the weights came from; says what will be pruned."""
        super().before_train(runner)
        if self.idle_reach:
            runner.logger.warning(
                f'DynamicPruningHook: reach={self.reach:g} has no effect, as no keep_ratio is set'
            )
        if self.corrections is None:
            foretell(runner, self.optimizers)
        else:
            self._begin_corrections(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Corrects lambda by the weights, where a keep ratio is wanted."""
        if self._corrected and is_training(runner):
            self.corrections.correct(runner, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Logs keep ratios and thresholds at the logger's interval."""
        if self._corrected and self.corrections.due(runner):
            self.corrections.correct(runner, runner.iter + 1)
        super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_train(self, runner: Runner) -> None:
        """Says whether what was asked for is kept."""
        if self.corrections is not None:
            self.corrections.conclude(runner)

    def measures(self, network: SparseNetwork) -> dict[str, float]:
        """Keep ratio and mean threshold."""
        return {**super().measures(network), 'threshold': network.threshold_mean()}

    def state_dict(self) -> dict:
        """Kept weights of each network, and the state of the thresholds' optimisers."""
        return {
            **super().state_dict(),
            'optimizers': {name: opt.state_dict() for name, opt in self.optimizers.items()},
            'lam': {name: opt.lam for name, opt in self.optimizers.items()},
            'corrections': self.corrections and self.corrections.state_dict(),
        }

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back counts and, when training, the optimisers' state."""
        for name, network in sparse_networks(runner.model).items():
            # Before 0.2 the phase was kept here; the state dict holds it now.
            network.set_phase(state.get('sparse', {}).get(name, network.sparse))
        super().restore(runner, state, meta)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state['optimizers'][name])
            before = state.get('lam', {}).get(name, optimizer.lam)
            if self.corrections is None and before != optimizer.lam:
                runner.logger.warning(
                    f'DynamicPruningHook: {name}: lam was {before:g}, is {optimizer.lam:g} now'
                )
        if self.corrections is not None:
            self._corrected = self.corrections.restore(runner, state.get('corrections'))

    def wanted(self, network: str) -> dict[str, float | None]:
        """Lambda and keep ratio of one network; one of them is None.

        Raises:
            ConfigError: A dict without the network.
        """
        given = {'lam': self.lam, 'keep_ratio': self.keep_ratio}
        return {k: v if v is None else of_network(k, v, network) for k, v in given.items()}

    def _begin_corrections(self, runner: Runner) -> None:
        """Sets lambda, unless it came back with a checkpoint of the same keep ratio."""
        if runner.iter == 0:
            self.corrections.start(runner)
        elif not self._corrected:
            self.corrections.correct(runner, runner.iter)
        self._corrected = True

    def _build_optimizers(self, runner: Runner) -> None:
        networks = trained_sparse_networks(runner.model)
        refuse_unknown('optimizers', self.optimizer_keys, networks)
        refuse_others('lam', self.lam, networks)
        refuse_others('keep_ratio', self.keep_ratio, networks)
        refuse_others('granularity', self.granularity, networks)
        for name, network in networks.items():
            keys = self.optimizer_keys.get(name)
            wrappers = self.optimizers_of(runner, name, network, keys)
            lam = self.wanted(name)['lam']
            self.optimizers[name] = ThresholdOptimizer(network, lam or 0.0, **self.adam)
            for wrapper in wrappers:
                self.optimizers[name].follow(
                    wrapper.optimizer,
                    scale=_loss_scale(wrapper),
                    # A generator step sends gradient through the discriminator's masks too.
                    siblings=list(networks.values()),
                )
        if self.keep_ratio is not None:
            shares = {name: self.wanted(name)['keep_ratio'] for name in networks}
            strict = self.out_of_reach == 'error'
            self.corrections = Corrections(runner, self.optimizers, shares, self.reach, strict)


def _loss_scale(wrapper: OptimWrapper) -> Callable[[], Tensor | None] | None:
    """Reads the loss scale of mixed precision without a synchronisation."""
    scaler = getattr(wrapper, 'loss_scaler', None)
    if scaler is None or not scaler.is_enabled():
        return None
    return lambda: scaler._scale
