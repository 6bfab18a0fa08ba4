"""Batches of a data loader from any position on, without reading those before it."""

import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, count, islice
from multiprocessing.util import Finalize
from typing import Any

import torch
from mmengine.dataset import InfiniteSampler
from torch.utils.data import DataLoader, Dataset, IterableDataset

from rggan_mm.errors import ConfigError

from .random_streams import seed_streams, streams_kept
from .worker_batches import PackedBatch, Packing

_PASS = 1  # what a pass over the data draws, beside what its batches draw


def can_position(loader: DataLoader) -> bool:
    """Whether a loader names its images by index, so that batches can be passed over."""
    return loader.batch_sampler is not None and not isinstance(loader.dataset, IterableDataset)


def outlives_signals(loader: DataLoader) -> None:
    """Lets workers that a loader starts from now on ignore SIGTERM and SIGINT.

    Such a signal often goes to the whole job, and is for the main process to act on.
    """
    loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)


def sampler_of(loader: DataLoader) -> Any:
    """The sampler of a loader, also where it stands in a batch sampler of its own."""
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)


class Batches:
    """Endless batches of a data loader, each the same whenever and wherever it is made.

    Batch i holds what the loader's sampler puts i-th, and its augmentations are drawn from
    a stream of its own. So batches do not depend on the number of workers, on what
    ran in between, or on whether those before them were read. Images that are passed
    over are not read; only their numbers are drawn.

    Args:
        loader: A data loader with indices (:func:`can_position`). Its sampler is started
            anew, and persistent workers that it has started are stopped.
        start: Number of the first batch.
        key: What the stream of a batch is seeded from, beside its number.
        skipped: Number of None to give before the first batch: MMEngine's loop takes and
            drops one batch for each iteration of a resumed run.

    Raises:
        ConfigError: On the first batch, when the sampler gives none.
    """

    def __init__(
        self, loader: DataLoader, start: int, key: Sequence[int] = (0,), skipped: int = 0
    ) -> None:
        self._skipped = skipped
        self._pinned = loader.pin_memory and torch.cuda.is_available()
        stop_persistent_workers(loader)
        dataset = _SeededDataset(loader.dataset, key)
        positioned = _like(loader, dataset, _Numbered(loader, start, key))
        self._iterator = iter(positioned)
        # At the end of the process too, before multiprocessing waits for workers.
        self._finalizer = Finalize(self, _stop_workers, (self._iterator,), exitpriority=10)

    def __iter__(self) -> 'Batches':
        """Returns itself."""
        return self

    def __next__(self) -> Any:
        """The next batch, or None for one that MMEngine drops."""
        if self._skipped:
            self._skipped -= 1
            return None
        batch = next(self._iterator)
        return batch.unpack(self._pinned) if isinstance(batch, PackedBatch) else batch

    def close(self) -> None:
        """Stops the workers."""
        self._finalizer()


class _SeededDataset(Dataset):
    """Makes whole batches, each from random streams of its own."""

    def __init__(self, dataset: Dataset, key: Sequence[int]) -> None:
        self.dataset = dataset
        self.key = tuple(key)

    def __getitems__(self, batch: tuple[int, Sequence[int]]) -> list:
        """What PyTorch's fetcher calls with what the batch sampler gave."""
        number, indices = batch
        with streams_kept():
            seed_streams(*self.key, number, devices=False)
            return [self.dataset[index] for index in indices]


class _Numbered:
    """Numbers and indices of a loader's batches, from one on."""

    def __init__(self, loader: DataLoader, start: int, key: Sequence[int]) -> None:
        self.loader = loader
        self.start = start
        self.key = key

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        batches = chain.from_iterable(_passes(self.loader, self.key))
        return islice(enumerate(batches), self.start, None)


def _passes(loader: DataLoader, key: Sequence[int]) -> Iterator[Iterator[list[int]]]:
    """One pass over the data after another; a sampler may also never end."""
    sampler = sampler_of(loader)
    if isinstance(sampler, InfiniteSampler):
        # It has one generator for its whole life, from which workers have taken already.
        sampler.indices = sampler._indices_of_rank()
    for epoch in count():
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(epoch)
        with streams_kept():  # PyTorch's samplers take a seed from them
            seed_streams(*key, epoch, _PASS, devices=False)
            batches = iter(loader.batch_sampler)
            first = next(batches, None)
        if first is None:
            raise ConfigError(
                'train_dataloader: there is no batch; it needs at least one image, or with '
                'drop_last=True batch_size images'
            )
        yield chain([first], batches)


def _like(loader: DataLoader, dataset: Dataset, batch_sampler: _Numbered) -> DataLoader:
    """A loader with the settings of another one."""
    collate, workers = loader.collate_fn, {}
    if loader.num_workers:
        collate = Packing(collate)
        workers['prefetch_factor'] = loader.prefetch_factor
    return DataLoader(
        dataset,
        batch_sampler=batch_sampler,
        num_workers=loader.num_workers,
        collate_fn=collate,
        pin_memory=loader.pin_memory and not workers,  # packed ones are pinned when unpacked
        timeout=loader.timeout,
        worker_init_fn=partial(_start_worker, loader.worker_init_fn),
        multiprocessing_context=loader.multiprocessing_context,
        **workers,
    )


def _start_worker(init: Callable[[int], object] | None, worker: int) -> None:
    if init is not None:
        init(worker)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop_workers(iterator: Any) -> None:
    if not hasattr(iterator, '_shutdown_workers'):
        return
    iterator._shutdown_workers()
    for worker in iterator._workers:
        if worker.is_alive():  # it waits for its disk, and ignores SIGTERM
            worker.kill()


def stop_persistent_workers(loader: DataLoader) -> None:
    """MMEngine's loop has begun with the loader, which then keeps its workers for good."""
    _stop_workers(loader._iterator)
    loader._iterator = None
