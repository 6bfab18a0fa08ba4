"""How a number was made: how many images, which reference, which extractor."""

import re
from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.settings import check_integer

SMALLEST_COUNT = 2  # fewer have no covariance


def check_count(field: str, count: Any, alternative: str = '') -> None:
    """Refuse what is no usable number of images.

    Raises:
        ConfigError: ``count`` is no integer of at least 2.
    """
    check_integer(field, count, SMALLEST_COUNT, alternative)


def count_real(real_nums: int, dataset: Dataset) -> int:
    """Number of real images to read: ``real_nums``, or all if it is -1.

    Raises:
        ConfigError: The data set has fewer, or fewer than 2 altogether.
    """
    total = len(dataset) if real_nums == -1 else real_nums
    if not SMALLEST_COUNT <= total <= len(dataset):
        raise ConfigError(
            f'real_nums={real_nums}, but the validation set has {len(dataset)} images; '
            f'it must have at least {SMALLEST_COUNT} and as many as asked for'
        )
    return total


def describe(dataset: Dataset, total: int) -> str:
    """Name of the real images: ``'Digits test'``, ``'CIFAR10 test[:5000]'``.

    Args:
        dataset: Its ``name`` if it has one, else its class and, from ``test_mode``,
            'test' or 'train'.
        total: How many of its images are used; noted unless it is all of them.
    """
    name = getattr(dataset, 'name', None) or _class_and_split(dataset)
    name += _indices(getattr(dataset, '_indices', None))
    return name if total == len(dataset) else f'{name}[:{total}]'


def _indices(chosen: int | Sequence[int] | None) -> str:
    """The ``indices`` of an ``mmengine.dataset.BaseDataset``, in a few letters."""
    if chosen is None:
        return ''
    if isinstance(chosen, int):
        return f'[:{chosen}]' if chosen >= 0 else f'[{chosen}:]'
    return f'[{len(chosen)} chosen]'


def _class_and_split(dataset: Dataset) -> str:
    name = type(dataset).__name__
    if not hasattr(dataset, 'test_mode'):
        return name
    return f'{name} test' if dataset.test_mode else f'{name} train'


def protocol_key(extractor: str, resize: str, reference: str) -> str:
    """Key that names the protocol, legal for every visualisation backend.

    MMEngine passes strings neither to scalars.json nor to TensorBoard; a key gets there.
    """
    made_by = extractor if resize == 'none' else f'{extractor} {resize}'
    return 'protocol/' + re.sub(r'[^\w.+-]+', '_', f'{made_by}_vs_{reference}').strip('_')
