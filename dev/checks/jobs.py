"""Commands with a time limit each, alone or side by side."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

OK = 'ok'
FAILED = 'failed'
TIMED_OUT = 'timed out'
LEFT_OUT = 'left out'
_PAUSE = 0.02  # seconds between two looks
_READ = 64_000  # bytes at the end of a log, among which its last line is


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        name: What tables call it.
        command: Its words.
        limit: Seconds after which it is killed, with all that it started.
        log: Where its output goes.
        read: Returns its figures when it has ended, whatever its status; may raise.
    """

    name: str
    command: Sequence[str]
    limit: float
    log: Path
    read: Callable[[], dict]


@dataclass
class Outcome:
    """How a job ended.

    Attributes:
        state: One of :data:`OK`, :data:`FAILED`, :data:`TIMED_OUT`, :data:`LEFT_OUT`.
        seconds: What it took.
        figures: What it found; empty where it wrote none.
        error: Last line of its output, or why there are no figures; None if all is well.
    """

    state: str
    seconds: float = 0.0
    figures: dict = field(default_factory=dict)
    error: str | None = None

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


class Started:
    """A job that runs, in a process group of its own.

    Args:
        job: The job.
        folder: Where it runs.
        environment: Its environment variables.
        limit: Seconds that it has, where they are fewer than its own.
    """

    def __init__(
        self, job: Job, folder: Path, environment: Mapping[str, str], limit: float = float('inf')
    ) -> None:
        self.job = job
        self.limit = min(job.limit, limit)
        self.start = time.monotonic()
        self.outcome: Outcome | None = None
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open('wb') as log:
            self.process = subprocess.Popen(
                list(job.command),
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def look(self) -> bool:
        """Notes the outcome once the job has ended or its time is over; True then."""
        if self.outcome is None:
            seconds, status = time.monotonic() - self.start, self.process.poll()
            if status is not None:
                self.kill()  # what it left running
                self.outcome = _judged(self.job, status, seconds)
            elif seconds > self.limit:
                self.kill()
                error = f'killed after {self.limit:.0f} s; {last_line(self.job.log)}'
                self.outcome = Outcome(TIMED_OUT, seconds, error=error)
        return self.outcome is not None

    def kill(self) -> None:
        """Kills it and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def run_together(
    jobs: Sequence[Job],
    folder: Path,
    environment: Mapping[str, str],
    limit: float = float('inf'),
) -> dict[str, Outcome]:
    """Runs jobs side by side; none of them survives this call.

    Args:
        jobs: The jobs.
        folder: Where they run.
        environment: Their environment variables.
        limit: Seconds that each has, where they are fewer than its own. Default: no limit.

    Returns:
        Outcomes by name.
    """
    started: list[Started] = []
    try:
        for job in jobs:
            started.append(Started(job, folder, environment, limit))
        while sum(one.look() for one in started) < len(started):
            time.sleep(_PAUSE)
    finally:
        for one in started:
            if one.outcome is None:
                one.kill()
    return {one.job.name: one.outcome for one in started}


def last_line(log: Path) -> str:
    """Last line of a log that says something."""
    with log.open('rb') as file:
        file.seek(max(0, log.stat().st_size - _READ))
        lines = file.read().decode(errors='replace').splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), 'no output')


def _judged(job: Job, status: int, seconds: float) -> Outcome:
    failure = None if status == 0 else last_line(job.log)
    try:
        figures = job.read()
    except (OSError, ValueError, LookupError, SyntaxError) as error:
        figures = {}
        failure = failure or f'its figures cannot be read: {error}'
    return Outcome(FAILED if failure else OK, seconds, figures, failure)
