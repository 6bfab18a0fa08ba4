"""Statistics of real images, kept between runs.

A file is found by a hash of everything that changes the numbers. MMagic's own cache leaves
out split and indices, so that it can take the test images' numbers for the training images'.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.heartbeat import Heartbeat
from rggan_mm.evaluation.images import REAL_KEY
from rggan_mm.evaluation.statistics import Statistics
from rggan_mm.evaluation.statistics_file import read_statistics, save_statistics

# Attributes of every nn.Module: its parts, its mode, and where it computes.
NOT_SETTINGS = {*vars(nn.Module()), '_device', '_non_blocking'}
FORMAT = 2  # raise it when the same images give other numbers than before


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/rggan_mm/real_statistics``, or the same under ``~/.cache``."""
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 'rggan_mm' / 'real_statistics'


class RealCache:
    """A folder of statistics files.

    Args:
        folder: Where they are; made when needed.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder).expanduser()

    def path(self, key: dict[str, Any]) -> Path:
        """File for a key: readable name, then hash."""
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        name = re.sub(r'[^\w.+-]+', '_', f'{key["reference"]}_{key["extractor"]}')
        return self.folder / f'{name}_{digest[:16]}.npz'

    def read(self, key: dict[str, Any]) -> Statistics | None:
        """Statistics for a key; None if there are none, or, with a warning, unusable ones."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            statistics, found = read_statistics(path)
            if found != key:
                raise ConfigError(f'statistics {path} were made for something else')
            if key.get('kept') and statistics.features is None:
                raise ConfigError(f'statistics {path} lack their features')
        except ConfigError as error:
            warnings.warn(f'{error}; computing them again', stacklevel=2)
            return None
        return statistics

    def write(self, key: dict[str, Any], statistics: Statistics) -> None:
        """Keep statistics; where that fails, warn: the run does not depend on it."""
        try:
            save_statistics(self.path(key), statistics, key)
        except OSError as error:
            warnings.warn(f'real statistics are not kept in {self.folder}: {error}', stacklevel=2)


def pixel_hash(dataloader: DataLoader, total: int) -> str:
    """Hash of the first ``total`` images of a data set as its pipeline gives them.

    Every image counts, so that nothing has to be known of the transforms. Where the loader
    has worker processes, they hash.

    Returns:
        Hexadecimal SHA-256.
    """
    loader = DataLoader(
        dataloader.dataset,
        batch_size=dataloader.batch_size,
        sampler=range(total),
        num_workers=dataloader.num_workers,
        collate_fn=_digests,
        generator=torch.Generator(),  # leaves the random stream of the training alone
    )
    digest, done, heartbeat = hashlib.sha256(), 0, Heartbeat('real images compared with the cache')
    for digests in loader:
        digest.update(b''.join(digests))
        done += len(digests)
        heartbeat.tell(done, total)
    return digest.hexdigest()


def _digests(items: Sequence[dict]) -> list[bytes]:
    return [_digest(item['data_samples']) for item in items]


def _digest(sample: BaseDataElement) -> bytes:
    """Hash of an image and of what the preprocessor wants to know of it."""
    image = sample.get(REAL_KEY)
    about = [sample.metainfo.get(f'gt_{name}') for name in ('channel_order', 'color_type')]
    pixels = np.ascontiguousarray(image)
    digest = hashlib.sha256(f'{pixels.dtype}{pixels.shape}{about}'.encode())
    digest.update(pixels)
    return digest.digest()


def preprocessor_state(preprocessor: nn.Module) -> dict[str, str]:
    """Settings of a data preprocessor and of what is in it; what has no plain value as class."""
    state = {}
    for name, module in preprocessor.named_modules():
        settings = {key: value for key, value in vars(module).items() if key not in NOT_SETTINGS}
        settings.update(module.named_buffers(recurse=False))
        state[name] = f'{type(module).__qualname__} {_plain(settings)}'
    return state


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in sorted(value.items(), key=str)}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return value
    return {type(value).__qualname__: _plain(getattr(value, '__dict__', {}))}
