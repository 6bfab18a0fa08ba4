"""The curve of a run: metric over iterations, phases, keep ratios."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.analysis import plot_curves, protocol_of

from .discovery import sparse_networks, trained_sparse_networks
from .recording import RecordingHook
from .validation import evaluated_networks

PICTURE = 'curves.png'


@HOOKS.register_module()
class CurvesHook(RecordingHook):
    """Records each evaluation and draws the run at its end.

    ``evaluations.json`` in the work dir holds iteration, phase, keep ratios (of trained
    networks and of averages that were evaluated), which network each metric judged, and all
    metrics with their protocol; ``curves.png`` shows the metric with sparse and dense
    stretches shaded, and keep ratios below it. Dense runs get the first panel only. The keep
    ratios are logged beside the metrics, as ``NAME_keep_ratio``.

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
        keep_ratios = _keep_ratios(runner)
        for name, ratio in keep_ratios.items():
            runner.message_hub.update_scalar(f'val/{name}_keep_ratio', ratio)
        self._compare_protocols(runner, dict(metrics or {}))
        trained = trained_sparse_networks(runner.model)
        self.history.append(
            {
                'iter': runner.iter,
                'sparse': any(network.sparse for network in trained.values()),
                'keep_ratio': keep_ratios,
                'evaluated': evaluated_networks(runner),
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


def _keep_ratios(runner: Runner) -> dict[str, float]:
    """Keep ratio of each network at its last forward; an average without one is left out."""
    trained = trained_sparse_networks(runner.model)
    return {
        name: network.keep_ratio()
        for name, network in sparse_networks(runner.model).items()
        if name in trained or not network.sparse or network.counts()
    }
