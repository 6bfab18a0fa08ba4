"""Real and generated images as RGB in [0, 1], both by the same way.

A generator's output lies in the space of the images that its discriminator is trained
on: normalised, and in the channel order that the data preprocessor made. ``destruct``
leads back to 0..255, in that same order. So reals are taken through the preprocessor in
training mode and back through ``destruct``, exactly like fakes, and whatever order the
model uses is then turned to RGB for both.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rggan_mm.errors import ConfigError
from rggan_mm.training.worker_batches import PackedBatch

REAL_KEY = 'gt_img'
CHUNK_VALUES = 3 * 2**23  # of images that are floats at the same time; 100 MB
_AHEAD = 8  # images that a worker may have ready


def real_batches(
    preprocessor: nn.Module,
    dataloader: DataLoader,
    indices: Sequence[int],
    num_workers: int | None = None,
) -> Iterator[tuple[Tensor, str]]:
    """Batches of real images as the model sees them, taken back to 0..255.

    Args:
        preprocessor: The model's data preprocessor.
        dataloader: Gives data set, batch size and number of workers; its sampler is
            not used.
        indices: Which images, each once, in this order.
        num_workers: Processes that load; None is as many as the dataloader has.
            Default: None.

    Yields:
        Images, float, shape (N, C, H, W), on the preprocessor's device, and their
        channel order: ``'RGB'``, ``'BGR'`` or ``'single'``.

    Raises:
        ConfigError: The items of the data set hold no real image.
    """
    workers = dataloader.num_workers if num_workers is None else num_workers
    items = read_ahead(dataloader.dataset, indices, workers)
    for chunk in chunks(items, dataloader.batch_size or 1, _values):
        data = pseudo_collate(chunk)
        samples = preprocessor(data, True)['data_samples']
        if REAL_KEY not in samples:
            raise ConfigError(
                f'val_dataloader: its items have no {REAL_KEY!r}; the images must be under '
                "'gt' and the pipeline end with dict(type='PackInputs')"
            )
        yield preprocessor.destruct(samples.get(REAL_KEY)), _channel_order(samples.metainfo)


def read_ahead(dataset: Dataset, indices: Sequence[int], num_workers: int) -> Iterator[Any]:
    """Items of a data set, one at a time, so that few of them are in memory.

    Args:
        dataset: The data set.
        indices: Which items, in this order.
        num_workers: Processes that read; 0 reads here.
    """
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=indices,
        num_workers=num_workers,
        collate_fn=PackedBatch if num_workers else _as_it_is,
        prefetch_factor=_AHEAD if num_workers else None,
        generator=torch.Generator(),  # leaves the random stream of the training alone
    )
    for item in loader:
        yield item.unpack() if num_workers else item


def _as_it_is(item: Any) -> Any:
    return item


def chunks(items: Iterable[Any], most: int, size_of: Callable[[Any], int]) -> Iterator[list]:
    """Groups items, so that large images come in smaller groups than small ones.

    Args:
        items: What is grouped, in this order.
        most: Items of a group, at most.
        size_of: Number of values of an item; a group of several has at most
            :data:`CHUNK_VALUES`.
    """
    chunk, total = [], 0
    for item in items:
        size = size_of(item)
        if chunk and (len(chunk) == most or total + size > CHUNK_VALUES):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += size
    if chunk:
        yield chunk


def _values(item: dict) -> int:
    """Number of values of an item's real image; 0 where it has none."""
    image = getattr(item.get('data_samples'), REAL_KEY, None)
    return image.numel() if isinstance(image, Tensor) else 0


def _channel_order(metainfo: dict) -> str:
    """Order in which the preprocessor left the images of a stacked sample."""
    order = metainfo[f'{REAL_KEY}_output_channel_order']
    return order if isinstance(order, str) else order[0]


def to_rgb01(images: Tensor, channel_order: str) -> Tensor:
    """Turn images of 0..255 into RGB in [0, 1], float32, without rounding to integers.

    Args:
        images: Shape (N, 3, H, W), or (N, 1, H, W) for grey, which is repeated.
        channel_order: ``'BGR'`` to swap channels; anything else leaves the order.
    """
    images = images.float() / 255
    if channel_order.upper() == 'BGR':
        images = images.flip(1)
    return images.expand(-1, 3, -1, -1)
