"""Files that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rggan_mm.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows: what killed processes leave behind stays there
    fcntl = None

_PREFIX = '.writing-'
_LOCK = '.lock'


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary name to write to; the file gets its own name at the end.

    What killed processes left half-written in the file's folder is removed first.

    Args:
        path: The file; its folder is made when it is missing. When the block
            raises, an older file of that name stays and nothing else is left.

    Yields:
        The temporary path, with the same file name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent)
    try:
        with _own_folder(path.parent) as folder:
            temporary = folder / path.name
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None:  # a failed write does not say where
            error.filename = error.filename or str(path)
        raise
    with suppress(OSError):  # the new name; not every file system can
        _flush(path.parent)


def check_writable(path: Path) -> None:
    """Refuses a file that :func:`written_whole` could not write, before work is done for it.

    Args:
        path: The file; its folder is made when it is missing.

    Raises:
        ConfigError: It is no plain file, or nothing can be written in its folder.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f'{path} cannot be written: it is no plain file')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigError(f'{path} cannot be written: {error.strerror or error}') from error


def _flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder that is locked for as long as its process lives."""
    lock = None
    while lock is None:  # another process may take a folder without a lock for abandoned
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=_PREFIX))
        lock = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Locks a folder of our own; None when it is gone."""
    try:
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR)
    except FileNotFoundError:
        return None
    if fcntl is not None:
        with suppress(OSError):  # not every file system can
            fcntl.flock(lock, fcntl.LOCK_EX)
    if (folder / _LOCK).exists():
        return lock
    os.close(lock)
    return None


def _remove_abandoned(parent: Path) -> None:
    """Removes temporary folders that no living process holds."""
    for folder in parent.glob(f'{_PREFIX}*') if fcntl is not None else ():
        with suppress(OSError), (folder / _LOCK).open('a') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
