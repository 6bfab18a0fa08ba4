"""Batches from any position on."""

import os
import random
import signal
import time
from functools import partial
from itertools import chain

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dataset import worker_init_fn as mmengine_init
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from rggan_mm.errors import ConfigError
from rggan_mm.training.batches import Batches, can_position, sampler_of

START = partial(mmengine_init, num_workers=2, rank=0, seed=5)


class Drawn(Dataset):
    """Each image is its number and three random ones; counts what is read."""

    def __init__(self, size=10):
        self.size = size
        self.read = 0

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        self.read += 1
        return [index, random.random(), np.random.rand(), torch.rand(()).item()]


def loader(sampler=InfiniteSampler, workers=0, size=10, batch_size=4, **options):
    dataset = Drawn(size)
    return DataLoader(
        dataset,
        sampler=sampler(dataset, seed=1),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=START,
        **options,
    )


def take(batches, count):
    return [next(batches) for _ in range(count)]


@pytest.mark.parametrize('workers', [0, 1, 2])
@pytest.mark.parametrize('sampler', [InfiniteSampler, DefaultSampler])
def test_a_batch_is_the_same_from_wherever_it_is_reached(sampler, workers):
    whole = take(Batches(loader(sampler), 0, key=(3,)), 12)
    for start in (0, 1, 5, 9):
        given = loader(sampler, workers)
        assert take(Batches(given, start, key=(3,)), 3) == whole[start : start + 3]


@pytest.mark.parametrize('sampler', [InfiniteSampler, DefaultSampler])
def test_images_come_in_the_sampler_s_own_order(sampler):
    given = loader(sampler, batch_size=5)  # two batches a pass
    numbers = [[item[0] for item in batch] for batch in take(Batches(given, 0), 4)]
    expected = []
    for epoch in range(2 if sampler is DefaultSampler else 1):
        fresh = loader(sampler, batch_size=5)
        if sampler is DefaultSampler:
            fresh.sampler.set_epoch(epoch)
        stock = iter(fresh)
        count = 2 if sampler is DefaultSampler else 4
        expected += [[item[0] for item in next(stock)] for _ in range(count)]
    assert numbers == expected


def test_images_that_are_passed_over_are_not_read():
    given = loader()
    take(Batches(given, 1000), 2)
    assert given.dataset.read == 8


def test_batches_of_a_loader_that_was_begun_start_anew():
    given = loader(workers=2)
    begun = iter(given)  # workers have taken from the sampler's only generator
    next(begun)
    assert take(Batches(given, 0), 2) == take(Batches(loader(), 0), 2)


def test_nothing_of_the_main_process_s_streams_is_used_up():
    batches = Batches(loader(), 0)
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    next(batches)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected


def test_keys_draw_differently():
    one, other = (take(Batches(loader(), 0, key=key), 3) for key in ((1,), (2,)))
    assert [[item[0] for item in batch] for batch in one] == [
        [item[0] for item in batch] for batch in other
    ]
    pairs = zip(chain.from_iterable(one), chain.from_iterable(other), strict=True)
    assert all(a[1:] != b[1:] for a, b in pairs)


def test_mmengine_s_replay_gets_nothing():
    batches = Batches(loader(), 3, skipped=3)
    assert take(batches, 3) == [None] * 3
    assert next(batches) == take(Batches(loader(), 3), 1)[0]


def test_a_batch_sampler_of_one_s_own():
    dataset = Drawn()
    sampler = DefaultSampler(dataset, shuffle=False)
    own = DataLoader(dataset, batch_sampler=BatchSampler(sampler, 3, drop_last=True))
    assert sampler_of(own) is sampler
    own.collate_fn = list
    numbers = [[item[0] for item in batch] for batch in take(Batches(own, 2), 3)]
    assert numbers == [[6, 7, 8], [0, 1, 2], [3, 4, 5]]


def test_settings_of_the_loader_are_kept():
    given = loader(workers=1, prefetch_factor=3, persistent_workers=True, timeout=50)
    iterator = Batches(given, 0)._iterator
    assert iterator._num_workers == 1
    assert iterator._prefetch_factor == 3
    assert iterator._timeout == 50
    assert iterator._collate_fn.collate is list


def test_persistent_workers_that_the_loop_has_started_end():
    given = loader(workers=2, persistent_workers=True)
    begun = iter(given)
    next(begun)
    pids = [worker.pid for worker in begun._workers]
    batches = Batches(given, 0)
    assert not any(os.path.exists(f'/proc/{pid}') for pid in pids)
    assert take(batches, 2) == take(Batches(loader(), 0), 2)


def test_samplers_of_pytorch_give_the_same_order_again():
    shuffled = DataLoader(Drawn(), shuffle=True, batch_size=4, collate_fn=list)
    whole = take(Batches(shuffled, 0, key=(3,)), 6)
    torch.manual_seed(9)
    assert take(Batches(shuffled, 4, key=(3,)), 2) == whole[4:]


def test_a_loader_without_batches_is_refused():
    with pytest.raises(ConfigError, match='train_dataloader: there is no batch'):
        next(Batches(loader(DefaultSampler, size=3, drop_last=True), 0))


def test_data_without_numbers_cannot_be_positioned():
    class Stream(IterableDataset):
        def __iter__(self):
            yield 1

    assert not can_position(DataLoader(Stream(), batch_size=None))
    assert not can_position(DataLoader(Stream(), batch_size=2))
    assert can_position(loader())


def workers_of(batches):
    return [worker.pid for worker in batches._iterator._workers]


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_workers_outlive_a_signal_to_the_whole_job(number):
    batches = Batches(loader(workers=2), 0)
    take(batches, 2)  # both are up
    for pid in workers_of(batches):
        os.kill(pid, number)
    time.sleep(0.3)
    assert take(batches, 4) == take(Batches(loader(), 2), 4)


def test_workers_end_when_batches_are_closed_or_forgotten():
    for forget in (Batches.close, lambda batches: None):
        batches = Batches(loader(workers=2), 0)
        next(batches)
        pids = workers_of(batches)
        forget(batches)
        del batches
        assert not any(os.path.exists(f'/proc/{pid}') for pid in pids)
