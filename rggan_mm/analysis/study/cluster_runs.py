"""Runs of a study on a cluster, through submitit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any

from rggan_mm.errors import ConfigError

from .local_runs import note_end, start
from .plan import Run

DEFAULTS = {'timeout_min': 24 * 60, 'cpus_per_task': 2}


def submit_runs(
    runs: Sequence[Run], cluster: str, logs: Path, jobs: int, options: Mapping[str, Any]
) -> list:
    """Hands runs to a cluster as one array.

    Args:
        runs: What to train.
        cluster: ``'slurm'``, or ``'local'`` for processes on this machine.
        logs: Folder for the files of submitit.
        jobs: How many at a time, on SLURM.
        options: Parameters of submitit, in place of :data:`DEFAULTS` or beside them.

    Returns:
        The jobs, in the order of the runs.

    Raises:
        ConfigError: submitit is not installed, or does not take an option.
    """
    try:
        from submitit import AutoExecutor  # the extra `study`
    except ImportError:
        raise ConfigError("--submit needs submitit: pip install -e '.[study]'") from None
    try:
        executor = AutoExecutor(folder=logs, cluster=cluster)
        executor.update_parameters(**{'slurm_array_parallelism': jobs, **DEFAULTS, **options})
    except (NameError, RuntimeError, TypeError) as error:
        raise ConfigError(f'--submit {cluster}: {error}') from None
    for run in runs:
        run.prepare()
    return executor.map_array(RunJob(), [str(run.folder.resolve()) for run in runs])


class RunJob:
    """What a job does: one run, in a process of its own."""

    def __init__(self) -> None:
        self.process: Popen | None = None

    def __call__(self, folder: str) -> int:
        """Trains, or goes on.

        Args:
            folder: The run's folder.

        Returns:
            Exit status of the training.
        """
        self.process = start(Path(folder))
        code = self.process.wait()
        note_end(Path(folder), code)
        return code

    def checkpoint(self, folder: str) -> Any:
        """Saves the run when the job's time is over or it is pre-empted; it is queued again."""
        from submitit.helpers import DelayedSubmission

        self.process.terminate()
        self.process.wait()
        return DelayedSubmission(RunJob(), folder)
