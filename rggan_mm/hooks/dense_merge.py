"""Dense merge: the phase rule applied to a metric after each validation."""

import math
from collections.abc import Sequence

from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import PhaseRule, SparseNetwork
from rggan_mm.training.hook_base import is_training

from .discovery import sparse_networks, trained_sparse_networks
from .recording import RecordingHook
from .validation import train_length


@HOOKS.register_module()
class DenseMergeHook(RecordingHook):
    """Switches all networks between sparse and dense training by the phase rule.

    After each validation the metric joins the history; once there are five values
    the rule (:class:`rggan_mm.pruning.PhaseRule`) says whether the next stretch is
    sparse (improving) or dense. In a dense phase every pruned weight comes back with
    the value it had. The history is kept in the checkpoint and in
    ``phase_history.json`` in the work dir.

    Args:
        metric: Full name of a metric, such as 'digits/fid'; lower is better. None
            (default): the FID that validation produces, or the mean sliced Wasserstein
            distance where there is no FID.
        weights: Weights of the last values, oldest first. Defaults to the published
            (0.1, 0.1, 0.2, 0.2, 0.4).

    Raises:
        ConfigError: Unknown argument, bad weights; when training starts: no sparse
            network, no validation, a metric that no evaluator produces.
    """

    # After CheckpointHook: the best checkpoint holds the phase that was evaluated.
    priority = 'LOWEST'
    history_file = 'phase_history.json'

    def __init__(
        self,
        metric: str | None = None,
        weights: Sequence[float] = (0.1, 0.1, 0.2, 0.2, 0.4),
    ) -> None:
        super().__init__(metric)
        self.rule = PhaseRule(weights)

    def before_run(self, runner: Runner) -> None:
        """Checks that the rule will get what it waits for."""
        if not sparse_networks(runner.model):
            raise ConfigError(
                'DenseMergeHook: no network is sparse; add DynamicPruningHook (rg_hooks.pruning)'
            )
        super().before_run(runner)
        if is_training(runner):
            self._warn_of_few_validations(runner)

    def before_train(self, runner: Runner) -> None:
        """Starts recording; the rule alone sets the phase of a training run."""
        super().before_train(runner)
        _set_phase(sparse_networks(runner.model), self.rule.sparse)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Takes one evaluation into account; switches when the rule says so."""
        if not self.recording:
            return
        value = _value_of(metrics, self.metric)
        if not math.isfinite(value):
            runner.logger.warning(
                f'DenseMergeHook: {self.metric} is {value} at iteration {runner.iter}; '
                'it is kept out of the phase rule'
            )
        switched = self.rule.update(value)
        if switched:
            self._switch(runner)
        self.history.append(
            {
                'iter': runner.iter,
                'value': value if math.isfinite(value) else None,
                'sparse': self.rule.sparse,
                'switched': switched,
            }
        )

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back the evaluations up to the resumed iteration; before_train sets their phase."""
        super().restore(runner, state, meta)
        if not is_training(runner):
            return
        self.rule = PhaseRule(self.rule.weights)
        for record in self.history.records:
            if record['value'] is not None:
                self.rule.update(record['value'])
        runner.logger.info(
            f'DenseMergeHook: {len(self.history.records)} evaluations came back, '
            f'{_phase(self.rule.sparse)} phase'
        )

    def _switch(self, runner: Runner) -> None:
        pruned = {n: net.pruned_count() for n, net in trained_sparse_networks(runner.model).items()}
        _set_phase(sparse_networks(runner.model), self.rule.sparse)
        returned = '' if self.rule.sparse else _returned(pruned)
        runner.logger.info(
            f'DenseMergeHook: iteration {runner.iter}: {_phase(self.rule.sparse)} phase{returned}'
        )

    def _warn_of_few_validations(self, runner: Runner) -> None:
        loop = runner.train_loop
        count = math.ceil((train_length(runner) - loop.val_begin + 1) / loop.val_interval)
        if count <= len(self.rule.weights):
            runner.logger.warning(
                f'DenseMergeHook: {count} validations in this run; the phase rule acts after '
                f'{len(self.rule.weights)}, so the run hardly switches (train_cfg.val_interval)'
            )


def _value_of(metrics: dict | None, name: str) -> float:
    if not metrics or name not in metrics:
        raise ConfigError(
            f'DenseMergeHook: metric={name!r} was not evaluated; there is: '
            f'{", ".join(metrics or {}) or "nothing"}'
        )
    return float(metrics[name])


def _set_phase(networks: dict[str, SparseNetwork], sparse: bool) -> None:
    for network in networks.values():
        if network.sparse != sparse:
            network.set_phase(sparse)


def _phase(sparse: bool) -> str:
    return 'sparse' if sparse else 'dense'


def _returned(pruned: dict[str, int]) -> str:
    counts = ', '.join(f'{count:,} in {name}' for name, count in pruned.items())
    return f'; weights that came back: {counts}'
