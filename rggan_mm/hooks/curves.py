"""The curve of a run: metric over iterations, phases, kept shares."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.analysis import plot_curves
from rggan_mm.errors import ConfigError

from .base import StatefulHook, is_training
from .history import History
from .metric_names import check_metric
from .networks import trained_sparse_networks

HISTORY_FILE = 'evaluations.json'
PICTURE = 'curves.png'


@HOOKS.register_module()
class CurvesHook(StatefulHook):
    """Records each evaluation and draws the run at its end.

    ``evaluations.json`` in the work dir holds iteration, phase, kept shares and all
    metrics with their protocol; ``curves.png`` shows the metric with sparse and dense
    stretches shaded, and kept shares below it. Dense runs get the first panel only.

    Args:
        metric: Full name of the metric to draw, such as 'digits/fid'.

    Raises:
        ConfigError: Unknown argument; when training starts: no validation or a metric
            that no evaluator produces.
    """

    # Before CheckpointHook and DenseMergeHook: the phase is the evaluated one.
    priority = 'NORMAL'

    def __init__(self, metric: str) -> None:
        if not isinstance(metric, str) or not metric:
            raise ConfigError(f'metric={metric!r} must be the name of a metric')
        self.metric = metric
        self.history: History | None = None

    def before_run(self, runner: Runner) -> None:
        """Checks that the metric will be there."""
        if is_training(runner):
            check_metric(runner, self.metric, 'CurvesHook')
        self.history = History(Path(runner.work_dir) / HISTORY_FILE)

    def before_train(self, runner: Runner) -> None:
        """Starts an empty record in a run that was not resumed."""
        if runner.iter == 0:
            self.history.clear()

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Records one evaluation."""
        if not is_training(runner):
            return
        networks = trained_sparse_networks(runner.model)
        self.history.append(
            {
                'iter': runner.iter,
                'sparse': any(network.sparse for network in networks.values()),
                'keep_ratio': {name: net.keep_ratio() for name, net in networks.items()},
                'metrics': dict(metrics or {}),
            }
        )

    def after_train(self, runner: Runner) -> None:
        """Draws the picture."""
        if is_main_process() and self.history.records:
            plot_curves(self.history.records, self.metric, Path(runner.work_dir) / PICTURE)

    def state_dict(self) -> dict:
        """All evaluations so far."""
        return {'history': list(self.history.records)}

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back the evaluations up to the resumed iteration."""
        if is_training(runner):
            self.history.resume(state['history'], meta['iter'])
