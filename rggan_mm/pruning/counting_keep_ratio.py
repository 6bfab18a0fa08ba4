"""A wanted keep ratio in a training loop of one's own."""

import warnings

from torch.optim import Optimizer

from .keep_ratio import KeepRatio
from .strength import REACH, check_steps
from .thresholds import ThresholdOptimizer

# In a loop that has not evaluated so far.
_CORRECTIONS = 20


class CountingKeepRatio(KeepRatio):
    """The same for a loop of one's own: counts the steps, and corrects at evaluations.

    Until the first evaluation it corrects by itself, 20 times in a run.

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
        self._evaluates = False

    def count(self, optimizer: Optimizer) -> None:
        """Counts an optimiser's steps; ahead of the first one :meth:`start` is called.

        Args:
            optimizer: One that steps the network, not yet followed by the thresholds' optimiser.
        """
        handle = optimizer.register_step_pre_hook(self._before_step)
        self.optimizer.network.on_detach.append(handle.remove)

    def evaluated(self) -> None:
        """Makes a correction, unless there has been none since the last step."""
        self._evaluates = True
        if self.taken > self._corrected_at:
            self._correct()

    def state_dict(self) -> dict:
        """The same, with the steps so far and those at the last correction."""
        counts = {'taken': self.taken, 'corrected_at': self._corrected_at}
        counts['evaluates'] = self._evaluates
        return {**super().state_dict(), **counts}

    def load_state_dict(self, state: dict) -> None:
        """Restores what :meth:`state_dict` returned; the steps alone, of another keep ratio."""
        self.taken, self._corrected_at = state['taken'], state['corrected_at']
        self._evaluates = state.get('evaluates', True)
        if state['keep_ratio'] == self.share:
            super().load_state_dict(state)
        else:
            warnings.warn(
                f'keep_ratio was {state["keep_ratio"]:g}, is {self.share:g} now', stacklevel=3
            )
            self._correct()

    def _correct(self) -> None:
        self.correct(self.taken, self.taken - self._corrected_at)
        self._corrected_at = self.taken

    def _before_step(self, *_: object) -> None:
        if self.taken == 0:
            self.start()
        elif not self._evaluates and self.taken % max(self.steps // _CORRECTIONS, 1) == 0:
            self._correct()
        self.taken += 1
