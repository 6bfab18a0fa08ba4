"""From epochs, in which the paper counts, to iterations, in which MMagic's GANs train."""

import math
from collections.abc import Mapping
from typing import Any

from rggan_mm.datasets.subset import subset_size
from rggan_mm.errors import ConfigError


def iterations(images: int, batch_size: int, epochs: int) -> int:
    """Number of batches in so many epochs; the last batch of an epoch may be smaller.

    Args:
        images: Images of an epoch, at least 1.
        batch_size: Images of a batch, at least 1.
        epochs: Number of epochs, at least 0.
    """
    return math.ceil(images / batch_size) * epochs


def train_schedule(config: Mapping[str, Any], data_ratio: float | None = None) -> dict[str, int]:
    """Length of a training and distance of its evaluations, in iterations.

    Configs use it (``train_cfg = train_schedule(_base_, data_ratio=0.1)``), and
    ``tools/train.py`` when the command line changes one of the numbers.

    Args:
        config: Has ``train_images`` (images of the whole training set), ``epochs``,
            ``eval_epochs`` (epochs between evaluations) and ``train_dataloader`` with its
            ``batch_size``, the images that one process takes at a time.
        data_ratio: Share of the training images, in (0, 1]; None is that of
            ``train_dataloader.dataset``. Default: None.

    Returns:
        ``max_iters`` and ``val_interval``, as ``train_cfg`` takes them.

    Raises:
        ConfigError: A number is missing or unusable.
    """
    images, epochs, eval_epochs = (
        _integer(config, name) for name in ('train_images', 'epochs', 'eval_epochs')
    )
    loader = config['train_dataloader']
    if data_ratio is None:
        data_ratio = loader['dataset'].get('data_ratio', 1.0)
    used, batch_size = subset_size(images, data_ratio), _integer(loader, 'batch_size')
    return {
        'max_iters': iterations(used, batch_size, epochs),
        'val_interval': iterations(used, batch_size, eval_epochs),
    }


def _integer(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if type(value) is not int or value < 1:
        raise ConfigError(
            f'{name}={value!r} must be an integer of at least 1 in the config; '
            'iterations are counted from train_images, epochs, eval_epochs and batch_size'
        )
    return value
