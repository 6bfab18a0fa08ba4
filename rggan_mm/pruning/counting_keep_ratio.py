"""A wanted keep ratio in a training loop of one's own."""

from torch.optim import Optimizer

from .keep_ratio import KeepRatio
from .strength import REACH, check_steps
from .thresholds import ThresholdOptimizer


class CountingKeepRatio(KeepRatio):
    """The same for a loop of one's own: counts the steps, and corrects at evaluations.

    Args:
        optimizer: As for :class:`KeepRatio`, like the other arguments.
        share: Wanted keep ratio.
        steps: Optimiser steps of the network in the whole run.
        reach: Fraction of the run at which the share is reached.
    """

    def __init__(
        self, optimizer: ThresholdOptimizer, share: float, steps: int, reach: float = REACH
    ) -> None:
        super().__init__(optimizer, share, check_steps(steps), reach)
        self.taken = 0
        self._corrected_at = 0

    def count(self, optimizer: Optimizer) -> None:
        """Counts an optimiser's steps; ahead of the first one :meth:`start` is called.

        Args:
            optimizer: One that steps the network, not yet followed by the thresholds' optimiser.
        """
        handle = optimizer.register_step_pre_hook(self._before_step)
        self.optimizer.network.on_detach.append(handle.remove)

    def evaluated(self) -> None:
        """Makes a correction, unless there has been none since the last step."""
        if self.taken > self._corrected_at:
            self.correct(self.taken, self.taken - self._corrected_at)
            self._corrected_at = self.taken

    def state_dict(self) -> dict:
        """The same, with the steps so far and those at the last correction."""
        counts = {'taken': self.taken, 'corrected_at': self._corrected_at}
        return {**super().state_dict(), **counts}

    def load_state_dict(self, state: dict) -> None:
        """Restores what :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self.taken, self._corrected_at = state['taken'], state['corrected_at']

    def _before_step(self, *_: object) -> None:
        if self.taken == 0:
            self.start()
        self.taken += 1
