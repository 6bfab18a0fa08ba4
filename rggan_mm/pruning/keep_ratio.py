"""Holds a network at a wanted keep ratio: sets lambda from the weights as they are."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, distributed
from torch.optim import Optimizer

from rggan_mm.errors import ConfigError

from .calibration import (
    keep_ratio_at,
    lam_for,
    magnitudes,
    threshold_after,
    value_to_exceed,
)
from .masked_layers import MaskedLayer
from .masks import distances, threshold_shape
from .sparse_network import SparseNetwork
from .thresholds import ThresholdOptimizer, check_lam

# The published default.
LAM = 1e-12
REACH = 0.75
# Of what lr allows; as a threshold comes closer to it, lambda grows without limit.
_FASTEST = 0.99
# Near the end of the way a correction makes half of it, lest it goes too far.
_CAUTION = 2
# The share of a rise in which weights are counted, where the next correction is not known.
_NEARBY = 0.05


class KeepRatio:
    """Sets lambda of a network so that a wanted share of its weights is left.

    Each correction looks at the weights as their layers multiply with them and at the
    thresholds. It finds by how much all thresholds have to rise, and the lambda that makes them
    rise so in the steps that are left, by the closed form of :mod:`.calibration`. What training,
    dense phases and the collapse guard change is seen by the next correction.

    Thresholds do not fall, so nothing gives back what is pruned too much: lambda is 0 then.
    Weights that go on moving fall below a threshold that rests, and stay there. What was lost so
    since the last correction is taken to go on until the end, and room is left for it: the keep
    ratio comes down to the wanted one from above.

    Args:
        optimizer: The thresholds' optimiser; its ``lam`` is set.
        share: Wanted keep ratio, in (0, 1).
        steps: Optimiser steps of the network in the whole run.
        reach: Fraction of the run at which the share is reached, in (0, 1]; it is held after
            that. Defaults to 0.75.

    Raises:
        ConfigError: A number out of its range.
    """

    def __init__(
        self, optimizer: ThresholdOptimizer, share: float, steps: int, reach: float = REACH
    ) -> None:
        self.optimizer = optimizer
        self.share = check_share(share)
        self.reach = check_reach(reach)
        self.steps = steps
        self._last: dict[str, float] = {}
        # Share of the weights that a step loses by the movement of weights alone.
        self._loss = 0.0

    def start(self, interval: float = 0) -> None:
        """Makes the first correction.

        Args:
            interval: Optimiser steps until the next one, where that is known.

        Raises:
            ConfigError: The run is too short for this learning rate of the thresholds.
        """
        rise, steps = self.missing_rise(), self.reach * self.steps
        lr, _, _ = _settings(self.optimizer)
        if rise >= _FASTEST * steps * lr:
            enough = f'; raise lr to {1.1 * rise / _FASTEST / steps:.2g}' if steps else ''
            raise ConfigError(
                f'keep_ratio={self.share:g} is out of reach: thresholds would have to rise by '
                f'{rise:.3g}, {steps:,.0f} steps of lr={lr:g} raise them by at most '
                f'{steps * lr:.3g}{enough}, or train longer'
            )
        self.correct(0, interval)

    def correct(self, taken: float, interval: float) -> None:
        """Sets lambda.

        Args:
            taken: Optimiser steps of the network so far.
            interval: Those until the next correction, as far as it is known.
        """
        sizes = _distances(self.optimizer.network)
        self._observe(sizes, taken)
        left = max(self.steps - taken, 1)
        rise = value_to_exceed(sizes, self.share + self._loss * left)
        steps = max(self.reach * self.steps - taken, min(_CAUTION * interval, left), 1)
        lr, eps, mean = _settings(self.optimizer)
        rise = min(rise, _FASTEST * steps * lr)
        # From a threshold t on, a rise is that from 0 with eps * exp(t).
        lam = lam_for(rise, steps, lr, eps * math.exp(mean)) if rise > 0 else 0.0
        (threshold, *_) = self.optimizer.network.thresholds.values()
        self.optimizer.lam = _of_first_process(lam, threshold)
        self._remember(sizes, taken, mean, max(rise, 0.0) * max(interval / steps, _NEARBY))

    def missing_rise(self) -> float:
        """By how much all thresholds have to rise; 0 or less: the share is left, or less."""
        return value_to_exceed(_distances(self.optimizer.network), self.share)

    def state_dict(self) -> dict:
        """What the next correction needs: share, lambda and what was seen at the last one."""
        lam = self.optimizer.lam
        return {'keep_ratio': self.share, 'lam': lam, 'loss': self._loss, 'last': dict(self._last)}

    def load_state_dict(self, state: dict) -> None:
        """Restores what :meth:`state_dict` returned."""
        self._last, self._loss = dict(state['last']), state['loss']
        self.optimizer.lam = state['lam']

    def _observe(self, sizes: Sequence[Tensor], taken: float) -> None:
        """Learns what the sparse stretch since the last correction lost beside the thresholds'."""
        last = self._last
        if not last or taken <= last['taken'] or not self.optimizer.network.sparse:
            return
        risen = self.optimizer.network.threshold_mean() - last['threshold']
        lost = last['keep_ratio'] - keep_ratio_at(sizes, 0.0) - last['density'] * risen
        lost /= taken - last['taken']
        # More counts at once, less by and by: what is pruned too much does not come back.
        self._loss = max(lost, (self._loss + lost) / 2, 0.0)

    def _remember(
        self, sizes: Sequence[Tensor], taken: float, threshold: float, rise: float
    ) -> None:
        share = keep_ratio_at(sizes, 0.0)
        density = (share - keep_ratio_at(sizes, rise)) / rise if rise else 0.0
        self._last = {
            'taken': taken,
            'threshold': threshold,
            'keep_ratio': share,
            'density': density,
        }


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


def lam_or_keep_ratio(
    lam: float | Mapping[str, float] | None, keep_ratio: float | Mapping[str, float] | None
) -> tuple[float | dict[str, float] | None, float | dict[str, float] | None]:
    """Checks which of the two is named; None is not named.

    Args:
        lam: One for all networks or one by network.
        keep_ratio: The same.

    Returns:
        Both, one of them None; the published lambda where neither is named.

    Raises:
        ConfigError: Both are named, or one is out of its range.
    """
    if lam is not None and keep_ratio is not None:
        raise ConfigError(
            f'lam={lam!r} and keep_ratio={keep_ratio!r} are both set; one sets the other, so set '
            'lam=None or keep_ratio=None'
        )
    if keep_ratio is not None:
        return None, _each('keep_ratio', keep_ratio, check_share)
    return _each('lam', LAM if lam is None else lam, check_lam), None


def of_network(field: str, value: float | Mapping[str, float], network: str) -> float:
    """The number of one network, out of one for all or one by network.

    Raises:
        ConfigError: A mapping without the network.
    """
    if not isinstance(value, Mapping):
        return value
    if network not in value:
        raise ConfigError(
            f'{field}={dict(value)}: there is none for {network!r}; name every pruned network'
        )
    return value[network]


def keep_ratio_after(optimizer: ThresholdOptimizer, steps: int) -> float:
    """The keep ratio of the weights as they are, once their thresholds have made some steps.

    Args:
        optimizer: The thresholds' optimiser, with its lambda.
        steps: Optimiser steps in sparse phases.
    """
    lr, eps, mean = _settings(optimizer)
    rise = threshold_after(steps, optimizer.lam, lr, eps * math.exp(mean)) if steps else 0.0
    return keep_ratio_at(_distances(optimizer.network), rise)


def check_share(value: float, name: str = 'keep_ratio') -> float:
    """Returns a keep ratio, or raises ConfigError outside (0, 1)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and 0 < value < 1):
        raise ConfigError(f'{name}={value!r} must be a number above 0 and below 1, such as 0.5')
    return float(value)


def check_steps(value: int, name: str = 'steps') -> int:
    """Returns a number of steps, or raises ConfigError unless it is an integer above 0."""
    if type(value) is not int or value < 1:
        raise ConfigError(
            f'{name}={value!r} must be an integer of at least 1: the optimiser steps of the '
            'network in the whole run, which keep_ratio needs'
        )
    return value


def check_reach(value: float) -> float:
    """Returns a fraction of the run, or raises ConfigError outside (0, 1]."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and 0 < value <= 1):
        raise ConfigError(f'reach={value!r} must be a number above 0 and at most 1, such as 0.75')
    return float(value)


def _each(
    field: str, value: float | Mapping[str, float], check: Callable[[float, str], float]
) -> float | dict[str, float]:
    if isinstance(value, Mapping):
        return {name: check(number, f'{field}.{name}') for name, number in value.items()}
    return check(value, field)


def _settings(optimizer: ThresholdOptimizer) -> tuple[float, float, float]:
    """Learning rate, eps and the mean threshold."""
    group = optimizer.adam.param_groups[0]
    return group['lr'], group['eps'], optimizer.network.threshold_mean()


@torch.no_grad()
def _distances(network: SparseNetwork) -> list[Tensor]:
    """|W| - t of the layers that have computed in this phase; of all, where none has."""
    layers = list(network.layers.values())
    layers = [layer for layer in layers if layer.kept is not None] or layers
    with _without_masks(network):
        sizes = magnitudes([layer.info for layer in layers])
    pairs = zip(layers, sizes, strict=True)
    return [distances(size, layer.threshold, _shape(layer, size)) for layer, size in pairs]


def _shape(layer: MaskedLayer, weight: Tensor) -> list[int]:
    return threshold_shape(layer.info.module, weight, layer.info.out_dim)


def _of_first_process(value: float, like: Tensor) -> float:
    """The first process's number in all of them, whose rounding may differ."""
    if not distributed.is_available() or not distributed.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=like.device)
    distributed.broadcast(shared, 0)
    return shared.item()


@contextmanager
def _without_masks(network: SparseNetwork) -> Iterator[None]:
    sparse, network.sparse = network.sparse, False
    try:
        yield
    finally:
        network.sparse = sparse
