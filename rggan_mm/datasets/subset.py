"""Which images of a data set a data-efficient run may use: pure functions.

Random streams come from ``numpy.random.RandomState``, which NumPy keeps frozen,
so that a choice is the same on every machine and with every NumPy version. With
the same seed a smaller ratio always picks a part of what a larger one picks.
"""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from rggan_mm.errors import ConfigError

SUBSETS = ('first', 'random', 'stratified')


def check_ratio(ratio: Any, field: str = 'data_ratio') -> float:
    """Return ``ratio`` as a float if it is a usable share of a data set.

    Args:
        ratio: The value from the config.
        field: Its name there, for the message. Default: ``'data_ratio'``.

    Returns:
        The ratio, in (0, 1].

    Raises:
        ConfigError: ``ratio`` is no number, or outside (0, 1].
    """
    is_number = isinstance(ratio, Real) and not isinstance(ratio, (bool, np.bool_))
    if not is_number or not 0 < ratio <= 1:
        raise ConfigError(f'{field} must be a number in (0, 1], but got {ratio!r}')
    return float(ratio)


def check_subset(subset: Any, field: str = 'subset') -> str:
    """Return ``subset`` if it names a way to choose images.

    Raises:
        ConfigError: The name is not one of :data:`SUBSETS`.
    """
    if subset not in SUBSETS:
        raise ConfigError(f'{field} must be one of {", ".join(SUBSETS)}, but got {subset!r}')
    return subset


def check_seed(seed: Any, field: str = 'subset_seed') -> int:
    """Return ``seed`` as an int if ``RandomState`` takes it.

    Raises:
        ConfigError: ``seed`` is no integer in [0, 2**32).
    """
    is_int = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not is_int or not 0 <= seed < 2**32:
        raise ConfigError(f'{field} must be an integer in [0, 2**32), but got {seed!r}')
    return int(seed)


def subset_size(total: int, ratio: float, field: str = 'data_ratio') -> int:
    """Number of images that a ratio leaves: ``int(total * ratio)``, as published.

    Args:
        total: Number of images there are.
        ratio: Share to use, in (0, 1].
        field: Name of the ratio, for the message. Default: ``'data_ratio'``.

    Returns:
        The number of images, in [1, total].

    Raises:
        ConfigError: The ratio is unusable, or leaves no image.
    """
    size = int(total * check_ratio(ratio, field))
    if size == 0:
        raise ConfigError(
            f'{field}={ratio!r} leaves none of {total} images; '
            f'the smallest that leaves one is {_smallest_ratio(total):.6g}'
        )
    return size


def _smallest_ratio(total: int) -> float:
    """Smallest six-digit ratio that leaves one of ``total`` images."""
    return math.ceil(1e6 / max(total, 1)) / 1e6


def select_indices(
    labels: Sequence[int], ratio: float, subset: str = 'first', seed: int = 0
) -> np.ndarray:
    """Indices of the images that a run with this ratio uses.

    ``first`` takes the first ones (the published protocol), ``random`` a seeded
    choice, ``stratified`` a seeded choice with the classes in proportion.

    Args:
        labels: Class of each image, one an image, in the order of the data set.
        ratio: Share to use, in (0, 1].
        subset: ``'first'``, ``'random'`` or ``'stratified'``. Default: ``'first'``.
        seed: Seed of the choice, not used by ``'first'``. Default: 0.

    Returns:
        Ascending int64 indices, ``int(len(labels) * ratio)`` of them.

    Raises:
        ConfigError: Unusable ratio, subset or seed, or no image is left.
    """
    size = subset_size(len(labels), ratio)
    if check_subset(subset) == 'first':
        return np.arange(size)
    order = np.random.RandomState(check_seed(seed)).permutation(len(labels))
    if subset == 'stratified':
        order = spread_classes(order, np.asarray(labels)[order])
    return np.sort(order[:size])


def spread_classes(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Reorder so that every beginning holds the classes in proportion.

    Args:
        order: Indices in the order to start from, shape (n,).
        labels: Class of each of them, shape (n,).

    Returns:
        The same indices, shape (n,); within a class their order is kept.
    """
    position = np.empty(len(order))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return order[np.argsort(position, kind='stable')]


def subset_name(split: str, ratio: float, subset: str, seed: int) -> str:
    """Name of a choice of images, for results: ``'Digits train random 0.1 seed 3'``.

    Args:
        split: Name of the data set with its split, such as ``'Digits train'``.
        ratio: Share that is used, in (0, 1]; all images need no more than ``split``.
        subset: How they were chosen.
        seed: Seed of the choice, not used by ``'first'``.
    """
    if ratio == 1:
        return split
    suffix = '' if subset == 'first' else f' seed {seed}'
    return f'{split} {subset} {ratio:g}{suffix}'
