"""Statistics of real images, kept between runs.

A file is found by a hash of everything that changes the numbers. MMagic's own cache leaves
out split and indices, so that it can take the test images' numbers for the training images'.
"""

import hashlib
import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import plain_attributes
from rggan_mm.evaluation.statistics import Statistics
from rggan_mm.evaluation.statistics_file import read_statistics, save_statistics

FORMAT = 1  # raise it when the same images give other numbers than before


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


def data_fingerprint(dataset: Dataset, total: int) -> str | None:
    """Hash of the first ``total`` images, ahead of their transforms.

    Images that lie in memory count with their pixels, files with path, size and time of change.

    Returns:
        Hexadecimal SHA-256; None for a data set that cannot tell what it would load: no
        ``get_data_info`` (as in ``mmengine.dataset.BaseDataset``), or objects in it whose
        content is unknown.
    """
    if not hasattr(dataset, 'get_data_info'):
        return None
    digest = hashlib.sha256()
    try:
        for index in range(total):
            _add(digest, dataset.get_data_info(index))
    except UnknownContent:
        return None
    return digest.hexdigest()


class UnknownContent(Exception):
    """An object of which nobody can say whether another one equals it."""


def _add(digest: Any, item: Any) -> None:
    if isinstance(item, dict):
        for name in sorted(item, key=str):
            digest.update(f'{name}:'.encode())
            _add(digest, item[name])
    elif isinstance(item, (list, tuple)):
        digest.update(f'{len(item)}['.encode())
        for part in item:
            _add(digest, part)
    elif isinstance(item, (np.ndarray, Tensor)):
        array = np.ascontiguousarray(item)
        digest.update(f'{array.dtype}{array.shape}'.encode() + array.tobytes())
    elif item is None or isinstance(item, (bool, int, float, str, bytes, np.generic)):
        digest.update(f'{item!r}{_file_state(item)};'.encode())
    else:
        raise UnknownContent(type(item).__name__)


def _file_state(item: Any) -> str:
    if not isinstance(item, str) or not os.path.isfile(item):
        return ''
    state = os.stat(item)
    return f'{state.st_size},{state.st_mtime_ns}'


def preprocessor_state(preprocessor: nn.Module) -> dict[str, str]:
    """Settings of a data preprocessor that may change images."""
    plain = plain_attributes(preprocessor)
    buffers = {name: str(value.tolist()) for name, value in preprocessor.named_buffers()}
    return {'class': type(preprocessor).__name__, **plain, **buffers}
