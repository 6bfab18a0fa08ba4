"""Checkpoints that appear whole, and older ones that stay until then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import IO, Any

import torch
from mmengine import runner as mmengine_runner
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook, checkpoint_hook

from rggan_mm.compat.outcome import Outcome
from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole
from rggan_mm.training.checkpoint_search import newest_beside

_NAME = 'whole-checkpoints'
_save_anywhere = mmengine_runner.save_checkpoint


def save_checkpoint(
    checkpoint: dict,
    filename: str,
    file_client_args: dict | None = None,
    backend_args: dict | None = None,
) -> None:
    """Save a checkpoint; takes the place of MMEngine's function.

    Args:
        checkpoint: What to save.
        filename: The file. Other places than this machine's folders are left to MMEngine.
        file_client_args: As in MMEngine.
        backend_args: As in MMEngine.

    Raises:
        ConfigError: The system refuses to write, such as on a full disk. An older file of
            that name stays.
    """
    if not _is_local(filename, file_client_args, backend_args):
        _save_anywhere(checkpoint, filename, file_client_args, backend_args)
        return
    with _opened_whole(filename, 'wb') as file, _with_checksums():
        torch.save(checkpoint, file)


def _is_local(filename: str, client_args: dict | None, backend_args: dict | None) -> bool:
    if '://' in filename or client_args is not None:
        return False
    return isinstance(get_file_backend(filename, backend_args=backend_args), LocalBackend)


@contextmanager
def _opened_whole(filename: str, mode: str) -> Iterator[IO]:
    """Opens a file for writing that appears whole; takes the place of ``open``."""
    path = Path(filename)
    try:
        with written_whole(path) as temporary, temporary.open(mode) as file:
            yield file
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


class _RemovingLater:
    """A file backend that notes what to remove."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.noted: dict[str, Callable[[str], None]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.noted[path] = self.backend.remove

    def rmtree(self, path: str) -> None:
        self.noted[path] = self.backend.rmtree


def _current(hook: CheckpointHook) -> set[str]:
    """Files that were written under the name of an older one, after a resume."""
    best = getattr(hook, 'best_ckpt_path_dict', {}).values()
    return {hook.last_ckpt, getattr(hook, 'best_ckpt_path', None), *best}


def _removing_last(save: Callable[..., None]) -> Callable[..., None]:
    """Wrap a method of CheckpointHook that removes an old file before it writes a new one."""

    @wraps(save)
    def save_then_remove(self: CheckpointHook, *args: Any, **kwargs: Any) -> None:
        backend = getattr(self, 'file_backend', None)
        # A run that only validates has none; saving the best saves the last too.
        if backend is None or isinstance(backend, _RemovingLater):
            save(self, *args, **kwargs)
            return
        later = self.file_backend = _RemovingLater(backend)
        try:
            save(self, *args, **kwargs)
        finally:
            self.file_backend = later.backend
        for path in later.noted.keys() - _current(self):
            later.noted[path](path)

    return save_then_remove


def save_checkpoints_whole() -> Outcome:
    """Let a run that is killed while it saves keep a checkpoint to resume from.

    Symptom: a process that dies, or a disk that is full, while a checkpoint is written
    leaves a file that is cut short under the final name, and the one before is gone
    already where ``max_keep_ckpts`` is 1; so is the best one. Cause:
    mmengine/runner/checkpoint.py writes to the final name, and CheckpointHook makes
    room before it saves and rewrites ``last_checkpoint`` in place. Here files are
    written under a temporary name, flushed and renamed, and old ones go last, so that
    a run needs room for one checkpoint more. Applies to MMEngine up to 0.10.7.

    Returns:
        The outcome.
    """
    for module in (mmengine_runner, mmengine_runner.checkpoint, mmengine_runner.runner):
        module.save_checkpoint = save_checkpoint
    checkpoint_hook.open = _opened_whole  # for last_checkpoint, its only use
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        setattr(CheckpointHook, name, _removing_last(getattr(CheckpointHook, name)))
    return Outcome(_NAME, True, 'checkpoints appear whole; older ones are removed after that')
