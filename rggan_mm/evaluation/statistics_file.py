"""Statistics in files: pytorch-fid's ``.npz`` format, with a little more beside it.

``mu`` and ``sigma`` are what pytorch-fid reads and writes. Ours may also hold ``n`` (number of
images), ``features`` (kept features) and ``key`` (JSON: what the statistics were made of).
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import made_by
from rggan_mm.evaluation.protocol import SMALLEST_COUNT
from rggan_mm.evaluation.statistics import Statistics
from rggan_mm.evaluation.weights_file import one_line
from rggan_mm.files import written_whole

FIELDS = ('mu', 'sigma', 'n', 'features', 'key')
MADE_BY = ('extractor', 'resize', 'weights', 'note')
# What float32 leaves of symmetry and of eigenvalues 0, as a part of the largest entry.
ROUNDING = 1e-4
CHUNK = 2**20


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

    Arrays of other names in the file are not read.

    Args:
        path: A ``.npz`` file with at least ``mu`` and ``sigma``.

    Returns:
        The statistics, on the CPU, and the key; None if the file has none.

    Raises:
        ConfigError: No such file, no such format, or a field that no set of images can
            have: numbers that are not finite, a ``sigma`` that is no covariance, fewer than
            two images.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: _read(file, name) for name in FIELDS if name in file.files}
        return _from_arrays(arrays), _key(arrays.get('key'))
    except FieldError as error:
        raise ConfigError(f'statistics {path}: {error}') from error
    except Exception as error:  # a damaged file can raise nearly anything
        raise ConfigError(
            f'statistics {path} are not readable as .npz with mu (D,) and sigma (D, D): '
            f'{one_line(error)}'
        ) from error


class FieldError(ValueError):
    """A field of a file that holds something impossible."""


def _read(file: Any, name: str) -> np.ndarray:
    try:
        return file[name]
    except Exception as error:  # as above
        raise FieldError(f'{name} is not readable: {one_line(error)}') from error


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
    mean, cov = (_numbers(arrays, name, ndim) for name, ndim in (('mu', 1), ('sigma', 2)))
    _check_covariance(cov, len(mean))
    count = _count(arrays['n']) if 'n' in arrays else None
    statistics = Statistics(count, mean, cov)
    if 'features' in arrays:
        statistics.features = _numbers(arrays, 'features', 2).float()
        _check_features(statistics)
    return statistics


def _numbers(arrays: dict[str, np.ndarray], name: str, ndim: int) -> Tensor:
    if name not in arrays:
        raise FieldError(f'{name} is missing')
    array = arrays[name]
    if array.dtype.kind not in 'iuf' or array.ndim != ndim or not array.size:
        raise FieldError(
            f'{name} must have numbers in {ndim} dimension{"s" * (ndim > 1)}, but has '
            f'{array.dtype} of shape {array.shape}'
        )
    # A byte order that is not this machine's, or a type that torch has not.
    numbers = torch.from_numpy(array.astype(np.float64))
    if not torch.isfinite(numbers).all():
        raise FieldError(f'{name} has values that are not finite')
    return numbers


def _check_covariance(cov: Tensor, dim: int) -> None:
    if cov.shape != (dim, dim):
        raise FieldError(f'sigma has shape {tuple(cov.shape)}, but mu ({dim},)')
    largest = cov.abs().max()
    if (cov - cov.T).abs().max() > ROUNDING * largest:
        raise FieldError('sigma must be symmetric')
    # Of a matrix without negative eigenvalues, a little more on the diagonal has a factor.
    lifted = cov.clone()
    lifted.diagonal().add_(ROUNDING * largest + torch.finfo(cov.dtype).tiny)
    if torch.linalg.cholesky_ex(lifted).info != 0:
        raise FieldError('sigma has negative eigenvalues; it must be a covariance')


def _count(array: np.ndarray) -> int:
    count = array.item() if array.size == 1 and array.dtype.kind in 'iuf' else 0
    if count < SMALLEST_COUNT or not float(count).is_integer():
        raise FieldError(
            f'n must be the number of images, an integer of at least {SMALLEST_COUNT}, '
            f'but is {array.tolist()!r:.40}'
        )
    return int(count)


def _check_features(statistics: Statistics) -> None:
    rows, dim = statistics.features.shape
    if dim != len(statistics.mean):
        raise FieldError(f'features have {dim} columns, but mu {len(statistics.mean)} numbers')
    if statistics.count is not None and rows > statistics.count:
        raise FieldError(f'features are of {rows} images, but n is {statistics.count}')


def _key(array: np.ndarray | None) -> dict | None:
    if array is None:
        return None
    try:
        key = json.loads(array.item())
    except (ValueError, TypeError) as error:
        raise FieldError(f'key must be JSON: {one_line(error)}') from error
    if not isinstance(key, dict):
        raise FieldError(f'key must be a JSON object, but is a {type(key).__name__}')
    for name in MADE_BY:
        if not isinstance(key.get(name, ''), str):
            raise FieldError(f'key: its {name} must be a string, but is {key[name]!r:.40}')
    return key


def file_reference(path: Path) -> str:
    """Name of a file with the beginning of its hash: ``'cifar10.npz sha256 1a2b3c4d'``."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return f'{Path(path).name} sha256 {digest.hexdigest()[:8]}'
