"""Real runs of the digits config in several gloo processes; what they have in common."""

import os

import pytest
import torch
from mmengine.hooks import Hook
from tiny import tiny_runner

from rggan_mm.training.hook_base import unwrap

needs_cpu = pytest.mark.skipif(
    torch.cuda.is_available(), reason='several processes need a GPU each, or a machine without'
)


def runner_of(folder, rank=0, world=1, **changes):
    """A tiny runner of one process among ``world``."""
    if world > 1:
        os.environ['LOCAL_RANK'] = str(rank)
        changes = {**changes, 'launcher': 'pytorch'}
    return tiny_runner(folder, default_hooks__checkpoint__interval=1000, **changes)


class SharedNoise(Hook):
    """Gives the processes together the noise that one process alone would draw.

    Args:
        table: Noise of all images in order, (N, noise size).
        rank: This process.
        world: Number of processes; each takes every ``world``-th image.
    """

    def __init__(self, table, rank, world):
        self.rest = table[rank::world]

    def before_run(self, runner):
        unwrap(runner.model).noise_fn = self.draw

    def draw(self, *_, num_batches, **__):
        batch, self.rest = self.rest[:num_batches], self.rest[num_batches:]
        return batch
