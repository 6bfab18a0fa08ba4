"""Regeneration inside a sparse phase: the collapse guard."""

import copy

from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.pruning.masks import check_min_keep
from rggan_mm.training.hook_base import StatefulHook, log_interval

from .discovery import sparse_networks, trained_sparse_networks

Counts = dict[str, dict[str, int]]


@HOOKS.register_module()
class RegenerationHook(StatefulHook):
    """Regrows a layer that is pruned away: its thresholds go back to 0.

    At a forward in which a layer keeps ``min_keep`` of its weights or less, all of
    that layer's thresholds become 0 and the same forward uses the new mask. Which
    layers were reset and how often is logged at the logger's interval.

    Args:
        min_keep: Limit in [0, 1). Defaults to the published 0.01.

    Raises:
        ConfigError: Unknown argument, ``min_keep`` outside [0, 1); when the run
            starts: no network is sparse.
    """

    def __init__(self, min_keep: float = 0.01) -> None:
        if check_min_keep(min_keep) is None:
            raise ConfigError('min_keep=None must be a number in [0, 1)')
        self.min_keep = min_keep
        self.counts: Counts = {}
        self._earlier: Counts = {}

    def before_run(self, runner: Runner) -> None:
        """Switches the guard on."""
        networks = sparse_networks(runner.model)
        if not networks:
            raise ConfigError(
                'RegenerationHook: no network is sparse; add DynamicPruningHook (rg_hooks.pruning)'
            )
        for network in networks.values():
            network.min_keep = self.min_keep

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Logs the layers that were reset since the last time."""
        if self.every_n_train_iters(runner, log_interval(runner)):
            self._log(runner)

    def after_train(self, runner: Runner) -> None:
        """Logs what the last interval left."""
        self._log(runner)

    def state_dict(self) -> dict:
        """Resets per network and layer, as last counted."""
        return {'counts': self.counts}

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back the counts."""
        self.counts = copy.deepcopy(state['counts'])
        self._earlier = copy.deepcopy(state['counts'])

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Counts up to this iteration, then saves."""
        self._log(runner)
        super().before_save_checkpoint(runner, checkpoint)

    def total(self, runner: Runner) -> Counts:
        """Resets per network and layer up to now, those before a resume included."""
        return {
            name: _add(self._earlier.get(name, {}), network.guard_counts())
            for name, network in trained_sparse_networks(runner.model).items()
        }

    def _log(self, runner: Runner) -> None:
        for name, total in self.total(runner).items():
            before = self.counts.get(name, {})
            for layer, count in total.items():
                new = count - before.get(layer, 0)
                if new:
                    runner.logger.info(
                        f'RegenerationHook: {name}.{layer} was reset {new} times, {count} in all'
                    )
            self.counts[name] = total


def _add(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {layer: a.get(layer, 0) + b.get(layer, 0) for layer in a | b}
