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
        self._evaluated_at = 0
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
            self._correct(self.taken - self._evaluated_at)
        self._evaluated_at = self.taken

    def state_dict(self) -> dict:
        """The same, with the steps so far and those at the last correction and evaluation."""
        return {
            **super().state_dict(),
            'taken': self.taken,
            'corrected_at': self._corrected_at,
            'evaluated_at': self._evaluated_at,
            'evaluates': self._evaluates,
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores what :meth:`state_dict` returned; the steps alone, of another keep ratio."""
        self.taken, self._corrected_at = state['taken'], state['corrected_at']
        self._evaluated_at = state.get('evaluated_at', self._corrected_at)
        self._evaluates = state.get('evaluates', True)
        if state['keep_ratio'] == self.share:
            super().load_state_dict(state)
        else:
            warnings.warn(
                f'keep_ratio was {state["keep_ratio"]:g}, is {self.share:g} now', stacklevel=3
            )
            self._correct(self.taken - self._corrected_at)

    @property
    def _own_interval(self) -> int:
        return max(self.steps // _CORRECTIONS, 1)

    def _correct(self, interval: int) -> None:
        """Corrects; as many steps as said are expected until the next correction."""
        self.correct(self.taken, interval)
        self._corrected_at = self.taken

    def _before_step(self, *_: object) -> None:
        if self.taken == 0:
            self.start(self._own_interval)
        elif not self._evaluates and self.taken % self._own_interval == 0:
            self._correct(self._own_interval)
        self.taken += 1
