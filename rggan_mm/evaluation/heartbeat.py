"""A sign of life from work that may take minutes without a GPU."""

import time
from collections.abc import Callable

from mmengine.logging import print_log

EVERY = 60.0  # seconds


class Heartbeat:
    """Logs progress, once a minute at most, so that quick work says nothing.

    Args:
        what: What is counted, such as 'real images'.
        every: Seconds between two messages. Default: 60.
        say: Where a message goes; None: into the log. Default: None.
    """

    def __init__(self, what: str, every: float = EVERY, say: Callable[[str], object] | None = None):
        self.what = what
        self.say = say or _log
        self.every = every
        self.last = time.monotonic()

    def tell(self, done: int, total: int) -> None:
        """Say how far it is, if the last message was long ago and there is more to come."""
        now = time.monotonic()
        if done < total and now - self.last >= self.every:
            self.last = now
            self.say(f'{done} of {total} {self.what}')


def _log(line: str) -> None:
    print_log(f'GANMetrics: {line}', 'current')
