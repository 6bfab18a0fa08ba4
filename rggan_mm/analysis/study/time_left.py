"""How long the runs of a study still take."""

import time
from collections.abc import Sequence

from .plan import Run

MINUTE, HOUR = 60, 3600  # seconds


class TimeLeft:
    """Counts from now on.

    Args:
        runs: What is going to be trained.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self.start = time.monotonic()
        # What another config has left there is going to be removed.
        self.before = {r.name: 0 if r.state() == 'changed' else r.reached() for r in runs}

    def seconds(self, active: Sequence[Run], ended: Sequence[Run]) -> float | None:
        """An estimate from the iterations so far.

        Args:
            active: The runs at work.
            ended: The runs that have ended, well or not.

        Returns:
            Seconds; None where nothing is known yet.
        """
        now = {**self.before, **{run.name: run.reached() for run in (*active, *ended)}}
        trained = sum(now.values()) - sum(self.before.values())
        over = {run.name for run in ended}
        left = sum(run.iterations - now[run.name] for run in self.runs if run.name not in over)
        return (time.monotonic() - self.start) * left / trained if trained > 0 else None

    def line(self, active: Sequence[Run], ended: Sequence[Run]) -> str:
        """The same in words, with how many of the runs have ended."""
        count = f'{len(ended)} of {len(self.runs)}'
        seconds = self.seconds(active, ended) if len(ended) < len(self.runs) else None
        return count if seconds is None else f'{count}, {in_words(seconds)} left'


def in_words(seconds: float) -> str:
    """A time for a person, such as 'some 40 minutes'."""
    if seconds < 2 * MINUTE:
        return 'a minute or two'
    if seconds < 2 * HOUR:
        return f'some {seconds / MINUTE:.0f} minutes'
    return f'some {seconds / HOUR:.0f} hours'
