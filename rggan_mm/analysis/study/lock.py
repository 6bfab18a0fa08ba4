"""One process at a time in the folder of a run."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked
    fcntl = None

LOCK = 'run.lock'
HELD = 75  # exit status of a process that found the folder locked; EX_TEMPFAIL elsewhere


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Locks a run's folder; the system unlocks it when the process dies.

    Args:
        folder: The run's folder.

    Yields:
        Whether no other process had locked it.
    """
    with (folder / LOCK).open('a') as file:
        free = _lock(file.fileno())
        if free:
            file.truncate(0)
            file.write(f'process {os.getpid()} on {platform.node()}')
            file.flush()
        try:
            yield free
        finally:
            if free and fcntl is not None:  # a forked worker of ours may still have the file
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)


def holder(folder: Path) -> str | None:
    """The process that has locked a run's folder, for a person; None when there is none."""
    path = folder / LOCK
    if not path.exists():
        return None
    with path.open('a') as file:  # the lock goes with the file
        return None if _lock(file.fileno()) else path.read_text().strip() or 'a process'


def _lock(number: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # not every file system can
        return True
    return True
