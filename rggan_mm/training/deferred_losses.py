"""Losses that are read from the GPU at the log interval, all at once."""

from collections import deque
from collections.abc import Iterator, Sequence

import torch
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from .hook_base import CheckedHook, is_training, log_interval

_MOST_READ = 10_000  # iterations


@HOOKS.register_module()
class DeferredLossesHook(CheckedHook):
    """Keeps losses on the GPU until they are logged, so that no step waits for them.

    MMEngine reads each loss in each iteration, and waits for the GPU each time. The log holds
    the same values: they are read at the logger's interval, before validations and checkpoints
    and at the end, each under its own iteration. DivergenceHook sees them then too. Losses that
    are on the CPU are left alone.
    """

    # Before RuntimeInfoHook, which reads.
    priority = 'HIGHEST'

    def __init__(self) -> None:
        self._waiting: list[tuple[int, list[str], Tensor]] = []
        # Nobody takes them where there is no DivergenceHook.
        self._read: deque[tuple[int, dict[str, float]]] = deque(maxlen=_MOST_READ)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Takes the losses of an iteration out of what other hooks get."""
        names = [name for name, value in (outputs or {}).items() if _is_on_gpu(value)]
        if names:
            losses = torch.stack([outputs.pop(name).detach().float() for name in names])
            self._waiting.append((runner.iter + 1, names, losses))
        if self.every_n_train_iters(runner, log_interval(runner)):
            self.read(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Reads: the checkpoint holds the history of losses, by reference."""
        self.read(runner)

    def before_val(self, runner: Runner) -> None:
        """Reads what a validation's hooks may look at."""
        if is_training(runner):
            self.read(runner)

    def after_train(self, runner: Runner) -> None:
        """Reads the last ones."""
        self.read(runner)

    def read(self, runner: Runner) -> None:
        """Waits for the GPU once and hands what was deferred on to the log.

        Args:
            runner: The runner.
        """
        if not self._waiting:
            return
        values = torch.cat([losses for _, _, losses in self._waiting]).tolist()
        for iteration, scalars in _by_iteration(self._waiting, values):
            for name, value in scalars.items():
                runner.message_hub.update_scalar(f'train/{name}', value)
            losses = {name: value for name, value in scalars.items() if 'loss' in name}
            self._read.append((iteration, losses))
        self._waiting = []

    def take(self, runner: Runner) -> list[tuple[int, dict[str, float]]]:
        """Reads, and gives losses by name with their iterations since the last call."""
        self.read(runner)
        taken = list(self._read)
        self._read.clear()
        return taken


def _is_on_gpu(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_cuda and value.numel() == 1


def _by_iteration(
    waiting: Sequence[tuple[int, list[str], Tensor]], values: list[float]
) -> Iterator[tuple[int, dict[str, float]]]:
    at = 0
    for iteration, names, _ in waiting:
        yield iteration, dict(zip(names, values[at : at + len(names)], strict=True))
        at += len(names)
