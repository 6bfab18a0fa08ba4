"""Requests to stop: signals of this process, and what all processes make of them."""

import signal
import time
from types import FrameType

import torch
from mmengine.dist import get_world_size

WATCHED = (signal.SIGTERM, signal.SIGINT)
PATIENCE = 3.0  # seconds


class StopSignals:
    """Takes SIGTERM and SIGINT as a request to stop at the next good moment.

    SIGINT once more, after some seconds, interrupts at once. SIGTERM may come several
    times: launchers hand it on to processes that have had it.

    Attributes:
        received: Name of the first signal, or None.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._since = 0.0
        self._before: dict = {}

    def watch(self) -> None:
        """Starts; only the main thread of a process can."""
        for number in WATCHED:
            self._before[number] = signal.signal(number, self._receive)

    def release(self) -> None:
        """Puts the handlers back that were there."""
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler or signal.SIG_DFL)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # No message here: the signal may have interrupted one.
        if self.received is None:
            self.received = signal.Signals(number).name
            self._since = time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._since > PATIENCE:
            raise KeyboardInterrupt


class Agreement:
    """Lets all processes stop at the same step when one of them is asked to.

    Each step exchanges a number without waiting for it and looks at the one of the step
    before, on the CPU: a GPU is not held up. Making one is a collective call.
    """

    def __init__(self) -> None:
        self._group = None
        self._flag = torch.zeros(1)
        self._work = None
        if get_world_size() > 1:
            self._group = torch.distributed.new_group(backend='gloo')

    def reached(self, asked: bool) -> bool:
        """Takes one step.

        Args:
            asked: Whether this process was asked to stop.

        Returns:
            Whether all processes stop now.
        """
        if self._group is None:
            return asked
        agreed = self.finish()
        self._flag = torch.full((1,), float(asked))
        self._work = torch.distributed.all_reduce(
            self._flag, torch.distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        return agreed

    def finish(self) -> bool:
        """Waits for the exchange that is under way; True when it was a request to stop."""
        if self._work is None:
            return False
        self._work.wait()
        self._work = None
        return bool(self._flag)
