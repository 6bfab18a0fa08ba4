"""Statistics in files: pytorch-fid's ``.npz`` format, with a little more beside it.

``mu`` and ``sigma`` are what pytorch-fid reads and writes. Ours may also hold ``n`` (number of
images), ``features`` (kept features) and ``key`` (JSON: what the statistics were made of).
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import made_by
from rggan_mm.evaluation.statistics import Statistics
from rggan_mm.files import written_whole


def save_statistics(path: Path, statistics: Statistics, key: dict | None = None) -> None:
    """Write statistics, whole or not at all; pytorch-fid reads the file too.

    Args:
        path: The file.
        statistics: What to write; scores are not.
        key: What they were made of, as plain JSON values. Default: None.
    """
    arrays = {'mu': statistics.mean.cpu().numpy(), 'sigma': statistics.cov.cpu().numpy()}
    if statistics.count is not None:
        arrays['n'] = np.array(statistics.count)
    if statistics.features is not None:
        arrays['features'] = statistics.features.cpu().numpy()
    if key is not None:
        arrays['key'] = np.array(json.dumps(key, sort_keys=True))
    with written_whole(Path(path)) as temporary, temporary.open('wb') as file:
        np.savez(file, **arrays)


def read_statistics(path: Path) -> tuple[Statistics, dict | None]:
    """Read statistics and what they were made of, without running code from the file.

    Args:
        path: A ``.npz`` file with at least ``mu`` and ``sigma``.

    Returns:
        The statistics, on the CPU, and the key; None if the file has none.

    Raises:
        ConfigError: No such file, no such format, or shapes that do not fit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        key = json.loads(arrays['key'].item()) if 'key' in arrays else None
        return _from_arrays(arrays), key
    except Exception as error:  # a damaged file can raise nearly anything
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ConfigError(
            f'statistics {path} are not readable as .npz with mu (D,) and sigma (D, D): {reason}'
        ) from error


def check_made_by(field: str, key: dict | None, extractor: nn.Module) -> None:
    """Refuse statistics that say that another extractor made them.

    Args:
        field: What the message calls them.
        key: What they were made of, None if unknown (pytorch-fid does not say).
        extractor: The extractor that will be compared with.

    Raises:
        ConfigError: Name, resize or weights differ.
    """
    for name, ours in made_by(extractor).items() if key else ():
        theirs = key.get(name, ours)
        if theirs != ours:
            raise ConfigError(f'{field}: its {name} is {theirs}, but that of this run is {ours}')


def _from_arrays(arrays: dict[str, np.ndarray]) -> Statistics:
    mean, cov = (torch.from_numpy(arrays[name]).double() for name in ('mu', 'sigma'))
    if mean.ndim != 1 or cov.shape != (len(mean), len(mean)):
        raise ValueError(f'mu has shape {tuple(mean.shape)}, sigma {tuple(cov.shape)}')
    statistics = Statistics(int(arrays['n']) if 'n' in arrays else None, mean, cov)
    if 'features' in arrays:
        statistics.features = torch.from_numpy(arrays['features'])
        if statistics.features.ndim != 2 or statistics.features.size(1) != len(mean):
            raise ValueError(f'features have shape {tuple(statistics.features.shape)}')
    return statistics


def file_reference(path: Path) -> str:
    """Name of a file with the beginning of its hash: ``'cifar10.npz sha256 1a2b3c4d'``."""
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return f'{Path(path).name} sha256 {digest[:8]}'
