"""Files that a run writes whole: under a temporary name, flushed, then renamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.fileio import LocalBackend, get_file_backend

from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole

from .checkpoint_search import newest_beside


def is_local(folder: str, client_args: dict | None, backend_args: dict | None) -> bool:
    """Whether a folder is one of this machine's.

    Args:
        folder: Path or address.
        client_args: What MMEngine calls ``file_client_args``.
        backend_args: As in MMEngine.
    """
    if '://' in folder or client_args is not None:
        return False
    return isinstance(get_file_backend(folder, backend_args=backend_args), LocalBackend)


@contextmanager
def saved_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary name to save a checkpoint under, with PyTorch's checksums on.

    Args:
        path: The file that is to appear.

    Yields:
        The temporary path, with the same file name.

    Raises:
        ConfigError: The system refuses to write, such as on a full disk. An older file of
            that name stays.
    """
    try:
        with written_whole(path) as temporary, _with_checksums():
            yield temporary
    except (OSError, RuntimeError) as error:
        refused = _refused(error)
        if refused is None:
            raise
        raise ConfigError(
            f'{path} could not be written: {refused.strerror or refused}; '
            f'{_last_good(path)}; '
            'when that is repaired, --resume goes on from there'
        ) from None


def _refused(error: BaseException | None) -> OSError | None:
    """The system's error below the one that PyTorch makes of it."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def _last_good(path: Path) -> str:
    good = newest_beside(path)
    return f'the last good checkpoint is {good}' if good else 'no good checkpoint is beside it yet'


@contextmanager
def _with_checksums() -> Iterator[None]:
    """Switches PyTorch's checksums on, where they can be off."""
    if not hasattr(torch.serialization, 'set_crc32_options'):
        yield
        return
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)
