"""The curve of a run: metric over iterations, phases, keep ratios."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.analysis import plot_curves, protocol_of

from .discovery import trained_sparse_networks
from .recording import RecordingHook

PICTURE = 'curves.png'


@HOOKS.register_module()
class CurvesHook(RecordingHook):
    """Records each evaluation and draws the run at its end.

    ``evaluations.json`` in the work dir holds iteration, phase, keep ratios and all
    metrics with their protocol; ``curves.png`` shows the metric with sparse and dense
    stretches shaded, and keep ratios below it. Dense runs get the first panel only.

    Args:
        metric: Full name of the metric to draw, such as 'digits/fid'. None (default): the
            metric that the config names for DenseMergeHook, else the FID that validation
            produces, or the mean sliced Wasserstein distance.

    Raises:
        ConfigError: Unknown argument; when training starts: no validation or a metric
            that no evaluator produces.
    """

    # Before CheckpointHook and DenseMergeHook: the phase is the evaluated one.
    priority = 'NORMAL'
    history_file = 'evaluations.json'

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Records one evaluation."""
        if not self.recording:
            return
        networks = trained_sparse_networks(runner.model)
        self._compare_protocols(runner, dict(metrics or {}))
        self.history.append(
            {
                'iter': runner.iter,
                'sparse': any(network.sparse for network in networks.values()),
                'keep_ratio': {name: net.keep_ratio() for name, net in networks.items()},
                'metrics': dict(metrics or {}),
            }
        )

    def _compare_protocols(self, runner: Runner, metrics: dict) -> None:
        before = self.history.records[-1]['metrics'] if self.history.records else metrics
        old, new = protocol_of(before, self.metric), protocol_of(metrics, self.metric)
        if old != new:
            runner.logger.warning(
                f'CurvesHook: {self.metric} is now measured with {new}, before with {old}; the '
                'best checkpoint, the phase rule and the curve compare unlike numbers'
            )

    def after_train(self, runner: Runner) -> None:
        """Draws the picture."""
        super().after_train(runner)
        if is_main_process() and self.history.records:
            plot_curves(self.history.records, self.metric, Path(runner.work_dir) / PICTURE)
