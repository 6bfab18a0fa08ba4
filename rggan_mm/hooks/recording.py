"""What hooks share that follow one metric through a training run."""

import json
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole
from rggan_mm.training.exact_resume import validates_again
from rggan_mm.training.hook_base import StatefulHook, is_training

from .validation import check_first_validation, check_metric, choose_metric


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


class History:
    """Records, each a dict with ``iter``, kept in a JSON file.

    Args:
        path: The file; written by the main process only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict] = []

    def append(self, record: dict) -> None:
        """Adds one record and writes the file."""
        self.records.append(record)
        self._write()

    def clear(self) -> None:
        """Starts an empty history, in the file too."""
        self.records = []
        self._write()

    def resume(self, saved: list[dict], iteration: int, beside: Path) -> None:
        """Joins the checkpoint's records with a file's, up to an iteration.

        Where both know an evaluation the checkpoint is right.

        Args:
            saved: Records from the checkpoint.
            iteration: The iteration at which the run resumes.
            beside: The file in the checkpoint's folder; need not exist.
        """
        by_iter = {record['iter']: record for record in [*_read(beside), *saved]}
        self.records = [by_iter[i] for i in sorted(by_iter) if i <= iteration]
        self._write()

    def _write(self) -> None:
        if is_main_process():
            text = json.dumps(self.records, indent=1, default=float) + '\n'
            with written_whole(self.path) as temporary:
                temporary.write_text(text)


def _read(path: Path) -> list[dict]:
    """Reads on the main process, so that all processes agree."""
    content: list = [None]
    if is_main_process() and path.exists():
        content = [path.read_text()]
    broadcast_object_list(content)
    return _parse(content[0], path) if content[0] is not None else []


def _parse(text: str, path: Path) -> list[dict]:
    try:
        records = json.loads(text)
        return [record for record in records if isinstance(record['iter'], int)]
    except (ValueError, TypeError, KeyError):
        raise ConfigError(
            f'{path} is not a history of this package; restore it, or delete it to resume '
            'with what the checkpoint knows'
        ) from None
