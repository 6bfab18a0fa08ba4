"""The random streams of a process: Python's, NumPy's and PyTorch's."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.device import get_device


def seed_streams(*key: int, devices: bool = True) -> None:
    """Seeds every stream from one key.

    Keys of one length that differ anywhere give streams that have nothing to do with each
    other (:class:`numpy.random.SeedSequence`; it takes a missing end for zeros), so a key
    can be made of a seed and counters.

    Args:
        *key: Integers >= 0.
        devices: Whether the streams of GPUs are seeded too. Defaults to True.
    """
    for_python, for_numpy, for_torch = map(int, np.random.SeedSequence(key).generate_state(3))
    random.seed(for_python)
    np.random.seed(for_numpy)
    # The general form looks every kind of device up, which takes 0.1 ms.
    everywhere = devices and get_device() != 'cpu'
    (torch.manual_seed if everywhere else torch.default_generator.manual_seed)(for_torch)


@contextmanager
def streams_kept() -> Iterator[None]:
    """Leaves the streams of the CPU as they were, whatever the block draws or seeds."""
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])
