"""When a run corrects lambda to hold its keep ratios, and what it says about them."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner

from rggan_mm.analysis.step_counts import steps_after
from rggan_mm.errors import ConfigError
from rggan_mm.pruning import KeepRatio, SparseNetwork, ThresholdOptimizer
from rggan_mm.pruning.keep_ratio import keep_ratio_after
from rggan_mm.training.hook_base import unwrap

from .validation import train_length

_PRUNES_NOTHING = 0.99
_ADVISED = 0.8
# Of the wanted keep ratio; a run that ends farther away warns. In 'ste' the task prunes too.
_MET = {'published': 0.02, 'ste': 0.05}
# In a run that neither validates nor saves at intervals.
_CORRECTIONS = 30


class Corrections:
    """The keep ratios that a training run is to hold, by network.

    Lambda is set when the run starts and after each validation; in a run without validations,
    at the checkpoints' interval.

    Args:
        runner: A runner that trains.
        optimizers: The thresholds' optimisers by network.
        keep_ratio: Wanted keep ratio by network.
        reach: Fraction of the run at which they are reached.
        strict: Whether a keep ratio that is out of reach is refused; else it is warned of, and
            the run prunes as much as it can.
    """

    def __init__(
        self,
        runner: Runner,
        optimizers: Mapping[str, ThresholdOptimizer],
        keep_ratio: Mapping[str, float],
        reach: float,
        strict: bool = True,
    ) -> None:
        self.strict = strict
        self.interval = _interval(runner)
        self.targets = {
            name: KeepRatio(optimizer, keep_ratio[name], steps_of(runner, name), reach)
            for name, optimizer in optimizers.items()
        }
        # Iteration and keep ratio of the last correction that found a network sparse.
        self._last_sparse: dict[str, tuple[int, float]] = {}

    def start(self, runner: Runner) -> None:
        """Makes the first correction and says what will be pruned.

        Raises:
            ConfigError: A keep ratio that the run cannot reach, unless that is warned of.
        """
        for name, target in self.targets.items():
            interval = steps_of(runner, name, min(self.interval, runner.max_iters))
            try:
                target.start(interval)
            except ConfigError as error:
                if self.strict:
                    raise ConfigError(f'DynamicPruningHook: {name}: {error}') from error
                runner.logger.warning(f'DynamicPruningHook: {name}: {error}')
                target.correct(0, interval)
                continue
            runner.logger.info(
                f'DynamicPruningHook: {name}: {target.share:.1%} of the weights of '
                f'{len(target.optimizer.network.layers)} layers will be left from iteration '
                f'{round(target.reach * runner.max_iters):,} on, out of {runner.max_iters:,} '
                f'(lam={target.optimizer.lam:.3g} at first)'
            )

    def due(self, runner: Runner) -> bool:
        """Whether to correct after a training iteration, for want of a validation."""
        return not _validates(runner) and (runner.iter + 1) % self.interval == 0

    def correct(self, runner: Runner, iterations: int) -> None:
        """Corrects lambda after a number of iterations."""
        self._look(iterations)
        following = min(iterations + self.interval, runner.max_iters)
        for name, target in self.targets.items():
            taken = steps_of(runner, name, iterations)
            target.correct(taken, steps_of(runner, name, following) - taken)

    def conclude(self, runner: Runner) -> None:
        """Says what is left of each network; warns where that is not what was asked for."""
        if not _validates(runner):
            self._look(runner.iter)
        for name, (iteration, left) in self._last_sparse.items():
            target = self.targets[name]
            met = abs(left - target.share) <= _tolerance(target.optimizer.network)
            log = runner.logger.info if met else runner.logger.warning
            why = ''
            if runner.iter - iteration >= self.interval:
                why = ', and the run was dense from there on'
            elif left < target.share and not met and target.optimizer.lam == 0:
                why = ', with lam=0: training itself prunes more than was asked for'
            log(
                f'DynamicPruningHook: {name}: keep_ratio={target.share:g} was asked for; '
                f'{left:.3f} were left at the last sparse evaluation, iteration {iteration:,}{why}'
            )

    def state_dict(self) -> dict:
        """What the next corrections and the conclusion need."""
        return {
            name: {**target.state_dict(), 'last_sparse': self._last_sparse.get(name)}
            for name, target in self.targets.items()
        }

    def restore(self, runner: Runner, state: Mapping[str, dict] | None) -> bool:
        """Takes back what :meth:`state_dict` returned.

        Returns:
            False where another keep ratio, or none, was wanted: a correction is due.
        """
        before = {name: saved['keep_ratio'] for name, saved in (state or {}).items()}
        wanted = {name: target.share for name, target in self.targets.items()}
        if before != wanted:
            runner.logger.warning(
                f'DynamicPruningHook: keep_ratio was {before or None}, is {wanted} now'
            )
            return False
        for name, target in self.targets.items():
            target.load_state_dict(state[name])
            if state[name].get('last_sparse'):
                self._last_sparse[name] = tuple(state[name]['last_sparse'])
        return True

    def _look(self, iterations: int) -> None:
        for name, target in self.targets.items():
            network = target.optimizer.network
            if network.sparse:
                self._last_sparse[name] = (iterations, network.keep_ratio())


def _tolerance(network: SparseNetwork) -> float:
    """How far a run may end from its keep ratio without a warning; of channels one at least."""
    channels = sum(map(len, network.thresholds.values())) if network.groups else math.inf
    return max(_MET[network.mode], 1 / channels)


def foretell(runner: Runner, optimizers: Mapping[str, ThresholdOptimizer]) -> None:
    """Says what a lambda will leave of each network; warns where that is nearly all."""
    for name, optimizer in optimizers.items():
        if optimizer.lam == 0:
            runner.logger.warning(f'DynamicPruningHook: {name}: {_without_lam(optimizer)}')
            continue
        if optimizer.network.mode == 'ste':  # the task prunes too
            continue
        left = keep_ratio_after(optimizer, steps_of(runner, name))
        if left > _PRUNES_NOTHING:
            runner.logger.warning(
                f'DynamicPruningHook: {name}: lam={optimizer.lam:g} prunes {1 - left:.2%} of the '
                f'weights by itself in this run; to prune more set lam=None and, for instance, '
                f'keep_ratio={_ADVISED}'
            )
            continue
        runner.logger.info(
            f'DynamicPruningHook: {name}: lam={optimizer.lam:g} leaves {left:.1%} of the weights '
            f'of {len(optimizer.network.layers)} layers by iteration {runner.max_iters:,}; less, '
            'as training moves weights below the thresholds'
        )


def refuse_others(
    field: str, value: float | dict[str, float] | None, networks: Collection[str]
) -> None:
    """Raises ConfigError when a dict by network names one that is not pruned."""
    for name in value if isinstance(value, dict) else ():
        if name not in networks:
            raise ConfigError(
                f'{field} names {name!r}, which is not pruned; pruned is: {", ".join(networks)}'
            )


def _without_lam(optimizer: ThresholdOptimizer) -> str:
    """What a run with lam=0 does, which depends on where it starts."""
    network = optimizer.network
    if network.mode == 'ste':
        return 'with lam=0 the task alone moves the thresholds'
    if not any(bool((t > 0).any()) for t in network.thresholds.values()):
        return 'lam=0 prunes nothing, all thresholds are 0'
    return (
        f'lam=0 keeps the thresholds where they are, {network.threshold_mean():g} in the mean: '
        'what is pruned stays pruned; else only weights that fall below them are'
    )


def steps_of(runner: Runner, network: str, iterations: int | None = None) -> int:
    """Optimiser steps of a network in so many iterations, or in the whole run."""
    wrappers = runner.optim_wrapper
    named = wrappers.items() if isinstance(wrappers, OptimWrapperDict) else ()
    counts: dict[str, Any] = {
        name: {'accumulative_counts': wrapper._accumulative_counts} for name, wrapper in named
    }
    iterations = runner.max_iters if iterations is None else iterations
    return steps_after(iterations, {'optim_wrapper': counts}, unwrap(runner.model), network)


def _validates(runner: Runner) -> bool:
    loop = runner.train_loop
    there = runner.val_loop is not None and loop.val_interval > 0
    return there and max(loop.val_interval, loop.val_begin) <= train_length(runner)


def _interval(runner: Runner) -> int:
    """Iterations from one correction to the next."""
    loop = runner.train_loop
    epochs = isinstance(loop, EpochBasedTrainLoop)
    length = len(loop.dataloader) if epochs else 1
    if _validates(runner):
        return loop.val_interval * length
    saves = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    # By epochs, in a run without epochs, it saves at the end alone.
    intervals = [
        hook.interval * (length if hook.by_epoch else 1)
        for hook in saves
        if hook.interval > 0 and (epochs or not hook.by_epoch)
    ]
    return min(intervals, default=max(runner.max_iters // _CORRECTIONS, 1))
