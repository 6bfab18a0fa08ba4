"""How many threads a training on the CPU takes."""

import os

import torch
from mmengine.runner import Runner

SMALL = 1_000_000


def choose_threads(runner: Runner) -> None:
    """Takes one thread for small networks on the CPU, and says what was chosen.

    PyTorch's threads wait for each other by spinning: on small tensors they gain little, and beside
    another busy process they lose a lot. ``OMP_NUM_THREADS`` has the last word.

    Args:
        runner: A runner whose model is built.
    """
    parameters = list(runner.model.parameters())
    if any(parameter.device.type != 'cpu' for parameter in parameters):
        return
    given = os.environ.get('OMP_NUM_THREADS')
    count = sum(parameter.numel() for parameter in parameters)
    if given is None and count < SMALL:
        torch.set_num_threads(1)
    reason = f'{count:,} parameters' if given is None else f'OMP_NUM_THREADS={given}'
    runner.logger.info(f'threads on the CPU: {torch.get_num_threads()} ({reason})')
