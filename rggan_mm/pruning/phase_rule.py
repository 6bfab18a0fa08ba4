"""The rule that switches between sparse and dense training."""

import math
from collections.abc import Sequence

from rggan_mm.errors import ConfigError


class PhaseRule:
    """Sparse while the metric improves, dense otherwise (RG-GAN, AAAI 2024).

    After each evaluation the value is appended. Once there are five,
    a = 0.1 f[-5] + 0.1 f[-4] + 0.2 f[-3] + 0.2 f[-2] + 0.4 f[-1]; if a >= f[-1]
    (improving) the next stretch is sparse, else dense. Starts sparse.

    Args:
        weights: Weights of the last values, oldest first. Positive numbers that
            sum to 1. Defaults to the published (0.1, 0.1, 0.2, 0.2, 0.4).

    Raises:
        ConfigError: When the weights are empty, not positive or do not sum to 1.
    """

    def __init__(self, weights: Sequence[float] = (0.1, 0.1, 0.2, 0.2, 0.4)) -> None:
        if not isinstance(weights, Sequence) or isinstance(weights, str):
            raise ConfigError(f'PhaseRule: weights={weights!r} must be a list of numbers')
        weights = tuple(weights)
        if not weights or min(weights) <= 0 or not math.isclose(sum(weights), 1):
            raise ConfigError(
                f'PhaseRule: weights={weights} must be positive numbers that sum to 1'
            )
        self.weights = weights
        self.values: list[float] = []
        self.sparse = True
        self.switches = 0

    def update(self, value: float) -> bool:
        """Takes one evaluation into account.

        Args:
            value: The metric, lower is better. NaN and infinity are kept out.

        Returns:
            True when the phase switched.
        """
        if not math.isfinite(value):
            return False
        self.values.append(float(value))
        before = self.sparse
        self.sparse = self._improving()
        self.switches += before != self.sparse
        return before != self.sparse

    def _improving(self) -> bool:
        if len(self.values) < len(self.weights):
            return self.sparse
        last = self.values[-len(self.weights) :]
        average = sum(weight * value for weight, value in zip(self.weights, last, strict=True))
        return average >= last[-1]

    def state_dict(self) -> dict:
        """Everything that :meth:`load_state_dict` needs, as plain numbers."""
        return {'values': list(self.values), 'sparse': self.sparse, 'switches': self.switches}

    def load_state_dict(self, state: dict) -> None:
        """Restores what :meth:`state_dict` returned."""
        self.values = [float(value) for value in state['values']]
        self.sparse = bool(state['sparse'])
        self.switches = int(state['switches'])
