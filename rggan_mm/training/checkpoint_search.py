"""Resuming takes the newest checkpoint that is whole."""

import logging
import re
from collections.abc import Iterable, Sequence
from itertools import product
from math import inf
from operator import itemgetter
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError

from .checkpoint_reading import UnusableCheckpointError, glance, read_checkpoint

_POINTER = 'last_checkpoint'
_BEST = 'best_'
TEMPLATES = ('iter_{}.pth', 'epoch_{}.pth')  # MMEngine's


def where_saved(runner: Runner) -> tuple[list[str], list[Path]]:
    """Templates and folders of what a run's CheckpointHooks save.

    Args:
        runner: The runner, its loop started or not.

    Returns:
        Every ``filename_tmpl``, and every ``out_dir`` of this machine.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    own = Path(runner.work_dir).name
    given = [str(hook.out_dir) for hook in hooks if hook.out_dir is not None]
    # A hook joins the work dir's name to its out_dir when the loop starts.
    folders = [
        Path(out) if Path(out).name == own else Path(out, own) for out in given if '://' not in out
    ]
    return [hook.filename_tmpl for hook in hooks], folders


def _number(name: str, template: str) -> int | None:
    """The number that a template makes a file's name of; None for another name."""
    template = Path(template).name
    numbers = (0, *map(int, re.findall(r'\d+', name)))
    return next((number for number in numbers if template.format(number) == name), None)


def _by_name(folders: Iterable[Path], templates: Iterable[str]) -> dict[Path, int]:
    """Number of each file that a template names, the highest first."""
    found = {}
    for folder, template in product(folders, templates):
        for path in (folder / template).parent.glob('*'):
            number = _number(path.name, template)
            found |= {} if number is None else {path: number}
    return dict(sorted(found.items(), key=itemgetter(1), reverse=True))


def _by_content(folders: Iterable[Path]) -> dict[Path, int]:
    """Iteration of each checkpoint with optimisers, the newest first; damaged files last."""
    found = {path: _iteration(path) for folder in folders for path in folder.glob('*.pth')}
    kept = {path: iteration for path, iteration in found.items() if iteration is not None}
    return dict(sorted(kept.items(), key=itemgetter(1), reverse=True))


def _iteration(path: Path) -> int | None:
    """Iteration in a checkpoint; -1 where it cannot be read, None where no run goes on from it."""
    checkpoint = glance(str(path))
    if checkpoint is None:  # the best so far are saved without optimisers
        return None if path.name.startswith(_BEST) else -1
    return checkpoint['meta']['iter'] if _of_run(checkpoint) and 'optimizer' in checkpoint else None


def _of_run(checkpoint: dict) -> bool:
    meta = checkpoint.get('meta')
    return isinstance(meta, dict) and isinstance(meta.get('iter'), int)


def _named(folder: Path) -> str:
    """What ``last_checkpoint`` says; nothing when it is missing, empty or unreadable."""
    pointer = folder / _POINTER
    text = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
    return text if text.isprintable() else ''


def candidates(
    folder: Path, templates: Sequence[str] = TEMPLATES, folders: Iterable[Path] = ()
) -> list[Path]:
    """Checkpoints that a run may go on from, the newest first.

    The one that ``last_checkpoint`` names comes first unless a later one was written
    after it; what has a higher number and is older belongs to a run before this one.
    A work dir may have been moved: its own file goes before one elsewhere. Without
    ``last_checkpoint`` files that a template names go before others, which are judged by
    their content.

    Args:
        folder: The work dir.
        templates: Names of the run's checkpoints. Defaults to MMEngine's.
        folders: Where they may be as well.

    Returns:
        Paths; only the named one may be missing.
    """
    name = _named(folder)
    folders = [folder, *folders]
    if not name:
        return list(_by_name(folders, templates) | _by_content(folders))
    named = folder / Path(name).name
    named = named if named.exists() else Path(name)
    families = [t for t in (*templates, *TEMPLATES) if _number(named.name, t) is not None][:1]
    folders = [*folders, named.parent]
    others = _by_name(folders, families) if families else _by_content(folders)
    number = _number(named.name, families[0]) if families else others.get(named, inf)
    written = (folder / _POINTER).stat().st_mtime
    later = [p for p in others if others[p] > number and p.stat().st_mtime >= written]
    return [*later, named, *[p for p in others if others[p] < number]]


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


def _choose(folder: Path, templates: Sequence[str], folders: Sequence[Path]) -> str | None:
    """The newest whole checkpoint of a work dir; None when it has none, or none any more."""
    name = _named(folder)
    if '://' in name or (name and Path(name).is_dir()):  # a remote file, or shards
        return name
    troubles = {}
    for path in candidates(folder, templates, folders):
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
    if not troubles:
        _warn_of_reduced([folder, *folders])
    return None


def _warn_of_reduced(folders: Iterable[Path]) -> None:
    """Names checkpoints that are there and that only ``--resume FILE`` takes."""
    read = {path: glance(str(path)) for folder in folders for path in folder.glob('*.pth')}
    reduced = sorted(path.name for path, found in read.items() if found and _of_run(found))
    if reduced:
        _warn(
            f'resume: {", ".join(reduced)}: saved without optimizers, named by no filename_tmpl; '
            'starting from the beginning (--resume FILE goes on from one)'
        )


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)


def find_latest_checkpoint(
    path: str, templates: Sequence[str] = TEMPLATES, folders: Sequence[Path] = ()
) -> str | None:
    """Finds the checkpoint to resume from.

    The main process decides, the others get its answer.

    Args:
        path: The work dir.
        templates: Names of the run's checkpoints. Defaults to MMEngine's.
        folders: Where they may be as well; see :func:`where_saved`.

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
            answer[0] = _choose(Path(path), templates, folders)
        except ConfigError as error:
            answer[1] = str(error)
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise ConfigError(answer[1])
    return answer[0]
