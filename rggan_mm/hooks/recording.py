"""What hooks share that follow one metric through a training run."""

from pathlib import Path

from mmengine.runner import Runner

from rggan_mm.errors import ConfigError

from .base import StatefulHook, is_training
from .exact_resume import validates_again
from .history import History
from .metric_names import check_metric, choose_metric
from .validation_check import check_first_validation


class RecordingHook(StatefulHook):
    """Keeps a history of evaluations, in the checkpoint and in a file of its own.

    Subclasses set ``history_file`` and append to ``history``.

    Args:
        metric: Full name of a metric, such as 'digits/fid'. None: the FID that validation
            produces, or the mean sliced Wasserstein distance where there is no FID.

    Raises:
        ConfigError: ``metric`` is no name; when training starts: no validation or a
            metric that no evaluator produces.
    """

    history_file = ''

    def __init__(self, metric: str | None = None) -> None:
        if metric is not None and (not isinstance(metric, str) or not metric):
            raise ConfigError(f'metric={metric!r} must be the name of a metric, or None')
        self.metric = metric
        self.history: History | None = None
        self.recording = False

    def before_run(self, runner: Runner) -> None:
        """Checks that the metric will be there; opens the history."""
        if is_training(runner):
            self._settle_metric(runner)
        # Left True by a training that was interrupted in this process.
        self.recording = False
        if self.history is None:
            self.history = History(Path(runner.work_dir) / self.history_file)

    def _settle_metric(self, runner: Runner) -> None:
        name = type(self).__name__
        if self.metric is None:
            self.metric = _named_by_another(runner) or choose_metric(runner, name)
            runner.logger.info(f'{name} follows {self.metric}')
        check_metric(runner, self.metric, name)
        check_first_validation(runner)

    def before_train(self, runner: Runner) -> None:
        """Starts recording, with an empty history in a run that was not resumed."""
        self.recording = True
        if runner.iter == 0:
            self.history.clear()

    def after_train(self, runner: Runner) -> None:
        """Stops recording: a later ``runner.val()`` is no part of the run."""
        self.recording = False

    def state_dict(self) -> dict:
        """All evaluations so far."""
        return {'history': list(self.history.records)}

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back the evaluations up to the resumed iteration, but for one done again."""
        if is_training(runner):
            given = runner._load_from
            folder = Path(given).parent if given else Path(runner.work_dir)
            last = meta['iter'] - validates_again(runner, meta['iter'])
            self.history.resume(state['history'], last, folder / self.history_file)


def _named_by_another(runner: Runner) -> str | None:
    """The metric that the config names for another of these hooks, if any."""
    named = (hook.metric for hook in runner.hooks if isinstance(hook, RecordingHook))
    return next((name for name in named if name is not None), None)
