"""The curve of a run: metric over iterations, phases, keep ratios."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.analysis import plot_curves, protocol_of
from rggan_mm.pruning import SparseNetwork

from .discovery import sparse_networks, trained_sparse_networks
from .recording import RecordingHook
from .regeneration import RegenerationHook
from .run_record import write_run_record
from .validation import evaluated_networks

PICTURE = 'curves.png'


@HOOKS.register_module()
class CurvesHook(RecordingHook):
    """Records each evaluation and draws the run at its end.

    ``evaluations.json`` in the work dir holds iteration, phase, keep ratios (of trained
    networks and of averages that were evaluated, and of each of their layers), mean thresholds,
    resets by the guard, which network each metric judged, and all metrics with their protocol;
    ``curves.png`` shows the metric with sparse and dense stretches shaded, and keep ratios below
    it. Dense runs get the first panel only. Keep ratios and phase are logged beside the metrics,
    as ``NAME_keep_ratio`` and ``sparse_phase``. ``run.json`` says what the run is, see
    :func:`~rggan_mm.hooks.run_record.write_run_record`.

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

    def before_train(self, runner: Runner) -> None:
        """Starts recording; says what the run is."""
        super().before_train(runner)
        write_run_record(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Records one evaluation."""
        if not self.recording:
            return
        networks = _evaluated_sparse(runner)
        keep_ratios = {name: network.keep_ratio() for name, network in networks.items()}
        sparse = any(network.sparse for network in trained_sparse_networks(runner.model).values())
        hub = runner.message_hub
        for name, ratio in keep_ratios.items():
            hub.update_scalar(f'val/{name}_keep_ratio', ratio)
        if networks:
            hub.update_scalar('val/sparse_phase', int(sparse))
        self._compare_protocols(runner, dict(metrics or {}))
        self.history.append(
            {
                'iter': runner.iter,
                'sparse': sparse,
                'keep_ratio': keep_ratios,
                'layers': {name: _of_layers(network) for name, network in networks.items()},
                'threshold': {
                    n: net.threshold_mean() for n, net in networks.items() if net.thresholds
                },
                'resets': _resets(runner),
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


def _evaluated_sparse(runner: Runner) -> dict[str, SparseNetwork]:
    """Networks with a keep ratio; an average without a forward has none."""
    trained = trained_sparse_networks(runner.model)
    return {
        name: network
        for name, network in sparse_networks(runner.model).items()
        if name in trained or not network.sparse or network.counts()
    }


def _of_layers(network: SparseNetwork) -> dict[str, float]:
    """Keep ratio of each layer that has computed; layers that have not grown yet are left out."""
    if not network.sparse:
        return dict.fromkeys(network.layers, 1.0)
    return {name: kept / total for name, (kept, total) in network.counts().items()}


def _resets(runner: Runner) -> dict[str, dict[str, int]]:
    """How often the guard has reset each layer, where there is one."""
    guards = [hook for hook in runner.hooks if isinstance(hook, RegenerationHook)]
    return guards[0].total(runner) if guards else {}
