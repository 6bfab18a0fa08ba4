"""Resuming takes the newest checkpoint that is whole."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from rggan_mm.errors import ConfigError

from .checkpoint_reading import UnusableCheckpointError, read_checkpoint

_POINTER = 'last_checkpoint'
_NUMBERED = re.compile(r'(.*?)(\d+)\.pth')
_NOT_RESUMABLE = re.compile(r'best_|.*\d')  # families of files without optimiser


def _family_and_number(path: Path) -> tuple[str, int]:
    """('iter_', 4000) for iter_4000.pth; number -1 for a name without one."""
    match = _NUMBERED.fullmatch(path.name)
    return (match[1], int(match[2])) if match else (path.name, -1)


def _number(path: Path) -> int:
    return _family_and_number(path)[1]


def _numbered(folders: Iterable[Path], family: str | None) -> list[Path]:
    """Files of one family, or of any that a run resumes from; the highest number first."""
    found = {path for folder in folders for path in folder.glob('*.pth')}
    kept = []
    for path in found:
        own, number = _family_and_number(path)
        fits = own == family if family is not None else not _NOT_RESUMABLE.match(own)
        kept += [path] if number >= 0 and fits else []
    return sorted(kept, key=_number, reverse=True)


def _named(folder: Path) -> str:
    """What ``last_checkpoint`` says; nothing when it is missing, empty or unreadable."""
    pointer = folder / _POINTER
    text = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
    return text if text.isprintable() else ''


def candidates(folder: Path) -> list[Path]:
    """Checkpoints that a run may go on from, the newest first.

    The one that ``last_checkpoint`` names comes first unless a later one was written
    after it; what has a higher number and is older belongs to a run before this one.
    A work dir may have been moved: its own file goes before one elsewhere.

    Args:
        folder: The work dir.

    Returns:
        Paths; only the named one may be missing.
    """
    name = _named(folder)
    if not name:
        return _numbered([folder], None)
    named = folder / Path(name).name
    named = named if named.exists() else Path(name)
    family, number = _family_and_number(named)
    others = _numbered({folder, named.parent}, family)
    written = (folder / _POINTER).stat().st_mtime
    later = [p for p in others if _number(p) > number and p.stat().st_mtime >= written]
    return [*later, named, *[p for p in others if _number(p) < number]]


def _trouble(path: Path) -> str | None:
    """Why a checkpoint cannot be loaded; None when it can."""
    try:
        read_checkpoint(str(path), 'cpu')
    except UnusableCheckpointError as error:
        return str(error)
    return None


def newest_beside(path: Path) -> Path | None:
    """The newest checkpoint in a file's folder that is whole, the file itself left out.

    Args:
        path: A checkpoint; need not exist.

    Returns:
        Its path; None when there is none.
    """
    others = [other for other in candidates(path.parent) if other.name != path.name]
    return next((other for other in others if _trouble(other) is None), None)


def _choose(folder: Path) -> str | None:
    """The newest whole checkpoint of a work dir; None when it has none, or none any more."""
    name = _named(folder)
    if '://' in name or (name and Path(name).is_dir()):  # a remote file, or shards
        return name
    troubles = {}
    for path in candidates(folder):
        trouble = _trouble(path)
        if trouble is None:
            for other, reason in troubles.items():
                _warn(f'resume: {other} {reason}; going on from {path}')
            return str(path)
        troubles[path] = trouble
    if any(path.exists() or not path.parent.exists() for path in troubles):
        found = '; '.join(f'{path} {trouble}' for path, trouble in troubles.items())
        raise ConfigError(
            f'resume: no whole checkpoint in {folder}: {found}; bring one back, or start anew '
            'in another work dir'
        )
    for path, reason in troubles.items():
        _warn(f'resume: {path} {reason}, nor does another; starting from the beginning')
    return None


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)


def find_latest_checkpoint(path: str) -> str | None:
    """Finds the checkpoint to resume from.

    The main process decides, the others get its answer.

    Args:
        path: The work dir.

    Returns:
        The newest checkpoint that is whole; None in a work dir without any, where a run
        starts from the beginning.

    Raises:
        ConfigError: There are checkpoints and none of them is whole, or the folder that they
            were saved in is gone.
    """
    answer: list = [None, None]
    if is_main_process():
        try:
            answer[0] = _choose(Path(path))
        except ConfigError as error:
            answer[1] = str(error)
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise ConfigError(answer[1])
    return answer[0]
