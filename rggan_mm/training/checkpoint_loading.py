"""What a checkpoint's address stands for: a file, a download, or a place of MMEngine's."""

import logging
import os
import os.path as osp
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader

from rggan_mm.errors import ConfigError

from .checkpoint_names import without_wrappers
from .checkpoint_reading import UnusableCheckpointError, read_checkpoint
from .checkpoint_search import newest_beside

_DOWNLOADED = ('http://', 'https://')


def load_anywhere(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Loads a checkpoint whose weights then have the names of one process.

    Files of this machine and downloads run no code. Other addresses, such as
    ``torchvision://`` and ``s3://``, are left to MMEngine's loader.

    Args:
        filename: A path or an address.
        map_location: As in :func:`torch.load`.

    Returns:
        The checkpoint.

    Raises:
        ConfigError: The file is missing, damaged or no checkpoint, or names anything that
            is not on the allow-list.
    """
    if filename.startswith(_DOWNLOADED):
        checkpoint = load_file(_downloaded(filename), map_location)
    elif '://' in filename:
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location)
    else:
        checkpoint = load_file(filename, map_location)
    return without_wrappers(checkpoint)


def load_file(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Loads a checkpoint file of this machine as it is; see :func:`load_anywhere`."""
    path = osp.expanduser(filename)
    try:
        return read_checkpoint(path, map_location)
    except UnusableCheckpointError as error:
        raise ConfigError(f'checkpoint {path} {error}; {_advice(Path(path))}') from None


def check_resumable(filename: str, checkpoint: Mapping[str, Any], wanted: Iterable[str]) -> None:
    """Says what a run that resumes does without.

    Args:
        filename: Where the checkpoint comes from.
        checkpoint: What is resumed.
        wanted: Parts that the run brings back where they were saved.

    Raises:
        ConfigError: It does not say where the run was.
    """
    meta = checkpoint.get('meta', {})
    needed = {'meta.iter': 'iter' in meta, 'meta.epoch': 'epoch' in meta}
    needed['message_hub'] = 'message_hub' in checkpoint
    lacking = [name for name, there in needed.items() if not there]
    if lacking:
        raise ConfigError(
            f'resume: {filename} has no {", ".join(lacking)}, it was reduced to its weights; to '
            'start from them set load_from to it and resume=False'
        )
    fresh = [name for name in wanted if name not in checkpoint]
    if fresh:
        print_log(
            f'resume: {filename} was saved without {", ".join(fresh)}, which start afresh at '
            f'iteration {meta["iter"]}; the run does not end where an uninterrupted one would',
            logger='current',
            level=logging.WARNING,
        )


def _advice(path: Path) -> str:
    """What to load in place of a file."""
    whole = newest_beside(path)
    if whole is None:
        return 'use the last good checkpoint' if path.exists() else 'name an existing file'
    return f'the newest good checkpoint beside it is {whole}'


def _downloaded(url: str) -> str:
    """Path of a download in PyTorch's hub folder, where it is fetched once."""
    path = osp.join(torch.hub.get_dir(), 'checkpoints', osp.basename(url.split('?')[0]))
    if get_rank() == 0:
        _fetch(url, path)
    barrier()
    _fetch(url, path)  # ranks on machines that do not share the folder
    return path


def _fetch(url: str, path: str) -> None:
    """Downloads a file that is not there yet; it appears whole or not at all."""
    if not osp.isfile(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(url, path, progress=False)
