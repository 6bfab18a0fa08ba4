"""Checkpoints are data: loading one works on every PyTorch and never runs code."""

import os
import os.path as osp
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_rank
from mmengine.runner import checkpoint as mmengine_checkpoint

from rggan_mm.compat.outcome import Outcome
from rggan_mm.compat.safe_globals import mmengine_safe_globals
from rggan_mm.errors import ConfigError
from rggan_mm.training.checkpoint_reading import (
    UnusableCheckpointError,
    read_checkpoint,
    torch_allows_names,
)
from rggan_mm.training.checkpoint_search import newest_beside

_NAME = 'checkpoint-loading'


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a checkpoint file; takes the place of MMEngine's function.

    Args:
        filename: Path of the file.
        map_location: As in :func:`torch.load`.

    Returns:
        The checkpoint.

    Raises:
        ConfigError: If the file is missing, damaged or no checkpoint, or if it
            names anything that is not on the allow-list.
    """
    path = osp.expanduser(filename)
    try:
        return read_checkpoint(path, map_location)
    except UnusableCheckpointError as error:
        raise ConfigError(f'checkpoint {path} {error}; {_advice(Path(path))}') from None


def _advice(path: Path) -> str:
    """What to load in place of a file."""
    whole = newest_beside(path)
    if whole is None:
        return 'use the last good checkpoint' if path.exists() else 'name an existing file'
    return f'the newest good checkpoint beside it is {whole}'


def load_from_http(
    filename: str,
    map_location: Any = None,
    model_dir: str | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Download a checkpoint once, then load it as a local file.

    Args:
        filename: Address of the file.
        map_location: As in :func:`torch.load`.
        model_dir: Folder for the download. Defaults to PyTorch's hub folder.
        progress: Whether to show a progress bar.

    Returns:
        The checkpoint.

    Raises:
        ConfigError: As :func:`load_from_local`.
    """
    folder = model_dir or osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(filename.split('?')[0]))
    if get_rank() == 0:
        _fetch(filename, path, progress)
    barrier()
    _fetch(filename, path, progress)  # ranks on machines that do not share the folder
    return load_from_local(path, map_location)


def _fetch(url: str, path: str, progress: bool) -> None:
    """Download a file that is not there yet; it appears whole or not at all."""
    if not osp.isfile(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(url, path, progress=progress)


def _replace_loader(prefixes: str | tuple[str, ...], loader: Callable[..., Any]) -> None:
    """Put a loader in MMEngine's place, for configs and for direct callers."""
    mmengine_checkpoint.CheckpointLoader.register_scheme(prefixes, loader, force=True)
    setattr(mmengine_checkpoint, loader.__name__, loader)


def load_checkpoints_safely() -> Outcome:
    """Make ``load_from`` and ``resume`` work, and safe, on every PyTorch.

    Symptom: ``UnpicklingError ... HistoryBuffer`` from PyTorch 2.6 on; before,
    a checkpoint could run any code; a damaged file ended in a long traceback, or
    was loaded with its flipped bits. Cause: mmengine/runner/checkpoint.py leaves
    ``weights_only`` of ``torch.load`` at its default, and addresses on the network
    are loaded without it by every version; PyTorch writes a checksum for each
    tensor and does not look at it again. Applies to MMEngine up to 0.10.7 and
    every PyTorch.

    Returns:
        The outcome.
    """
    if torch_allows_names():
        pairs = [(found, name) for name, found in mmengine_safe_globals().items()]
        torch.serialization.add_safe_globals(pairs)
    _replace_loader('', load_from_local)
    _replace_loader(('http://', 'https://'), load_from_http)
    return Outcome(_NAME, True, 'checkpoints load whole, with an allow-list, and run no code')
