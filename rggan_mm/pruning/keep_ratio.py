"""Holds a network at a wanted keep ratio: sets lambda from the weights as they are."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, distributed

from rggan_mm.errors import ConfigError

from .calibration import (
    keep_ratio_at,
    lam_for,
    threshold_after,
    value_to_exceed,
)
from .channel_rules import ChannelRule, ReaderRule
from .distances import distances
from .masked_layers import MaskedLayer
from .strength import REACH, check_reach, check_share
from .task_gradients import lam_beside, settle_beside, task_gradients
from .thresholds import ThresholdOptimizer

# Of what lr allows; as a threshold comes closer to it, lambda grows without limit.
_FASTEST = 0.99
# Near the end of the way a correction makes half of it, lest it goes too far: weights cross 0.
# The sizes of channels do not; they are close to each other and grow, so a half would lag behind.
_CAUTION = 2
_CAUTION_OF_CHANNELS = 1
# Corrections on the way, where it is not known when the next one comes.
_CORRECTIONS = 20
# Of the goal; where thresholds that start at 0 begin to rise by equal ratios. The first stretch, of
# which nobody knows what it will cost, is lower.
_BEGINNING = 1 / 300
_PROBE = 1 / 3000
# Of what lr allows; a stretch leaves no more to the later ones.
_COMFORTABLE = 0.5


class KeepRatio:
    """Sets lambda of a network so that a wanted share of its weights is left.

    Each correction looks at the weights as their layers multiply with them and at the
    thresholds. It finds by how much all thresholds have to rise, and the lambda that makes them
    rise by what is due until the next correction, by the closed form of :mod:`.calibration`. What
    training, dense phases and the collapse guard change is seen by the next correction.

    Thresholds do not fall, so nothing gives back what is pruned too much: lambda is 0 then.
    Weights that go on moving fall below a threshold that rests, however low it is, and stay
    there. So thresholds rise by equal ratios, late rather than early, room is left for what will
    be lost until the end if it goes on as since the last correction, and no threshold rises so far
    that it would catch more than there is to prune: the keep ratio comes down to the wanted one
    from above.

    Sizes of whole channels are close to each other and do not cross 0: thresholds that rise by
    equal ratios would prune nothing for most of the way, and then all at once. There the keep
    ratio comes down by even shares, a channel a correction at least, and what sizes grew is
    expected to go on.

    In mode 'ste' the task moves thresholds and weights both ways. The keep ratio then comes down
    by even shares, with the lambda that :mod:`.task_gradients` finds; what the task did since the
    last correction is expected to go on.

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
        # Share of the weights that a step loses by the movement of weights, in 'ste' of thresholds
        # too; there it may be below 0.
        self._loss = 0.0
        # Of the last channel that a stretch is to prune: the share that it leaves, how far it was
        # above its threshold, how much such a channel grows in a step.
        self._edge = {'share': self.share, 'distance': 0.0, 'growth': 0.0}
        layers = optimizer.network.layers.values()
        channels = any(layer.reads is not None for layer in layers)
        self._caution = _CAUTION_OF_CHANNELS if channels else _CAUTION
        # Whether channels are all that is pruned.
        self._whole = all(isinstance(layer.rule, ChannelRule | ReaderRule) for layer in layers)

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
        if self._last.get('taken') == taken:  # made before, as where a resumed run validates again
            return
        network = self.optimizer.network
        left = max(self.steps - taken, 1)
        # A dense stretch gave back what was pruned, and the sparse one after it may be short.
        caution = self._caution if network.sparse else 1
        ahead = max(self.reach * self.steps - taken, min(caution * interval, left), 1)
        stretch = min(interval or ahead / _CORRECTIONS, ahead)
        choose = self._beside_task if network.mode == 'ste' else self._alone
        choose(distances(network), taken, stretch, ahead)

    def missing_rise(self) -> float:
        """By how much all thresholds have to rise; 0 or less: the share is left, or less."""
        return value_to_exceed(list(distances(self.optimizer.network).values()), self.share)

    def state_dict(self) -> dict:
        """What the next correction needs: share, lambda and what was seen at the last one."""
        lam = self.optimizer.lam
        seen = {'loss': self._loss, 'edge': dict(self._edge), 'last': dict(self._last)}
        return {'keep_ratio': self.share, 'lam': lam, **seen}

    def load_state_dict(self, state: dict) -> None:
        """Restores what :meth:`state_dict` returned; only lambda, where it is of another mode."""
        self.optimizer.lam = state['lam']
        if ('threshold' in state['last']) == (self.optimizer.network.mode != 'ste'):
            self._last, self._loss = dict(state['last']), state['loss']
            self._edge.update(state.get('edge', {}))

    def _alone(
        self, by_layer: Mapping[MaskedLayer, Tensor], taken: float, stretch: float, ahead: float
    ) -> None:
        """Lambda where it alone moves the thresholds, by the closed form."""
        sizes = list(by_layer.values())
        lr, eps, mean = _settings(self.optimizer)
        due = self._due_of_channels if self._whole else self._due_of_weights
        rise, missing = due(sizes, taken, mean, stretch, ahead)
        # What is left after this stretch must be in reach as well.
        rise = max(rise, missing - _COMFORTABLE * (ahead - stretch) * lr)
        rise = max(min(rise, _FASTEST * stretch * lr), 0.0)
        self._remember(sizes, taken, mean, rise)
        # From a threshold t on, a rise is that from 0 with eps * exp(t).
        self._set(lam_for(rise, stretch, lr, eps * math.exp(mean)) if rise > 0 else 0.0)
        _settle(self.optimizer)

    def _due_of_weights(
        self, sizes: Sequence[Tensor], taken: float, mean: float, stretch: float, ahead: float
    ) -> tuple[float, float]:
        """The rise that is due until the next correction, and all that is missing."""
        if self._looks_back(taken):
            risen = mean - self._last['threshold']
            lost = self._last['keep_ratio'] - keep_ratio_at(sizes, 0.0)
            lost = (lost - self._last['density'] * risen) / (taken - self._last['taken'])
            # More counts at once, less by and by: what is pruned too much does not come back.
            self._loss = max(lost, (self._loss + lost) / 2, 0.0)
        to_lose = self._loss * max(self.steps - taken, 1)
        missing = value_to_exceed(sizes, self.share + to_lose)
        if taken >= self.reach * self.steps:
            return missing * stretch / ahead, missing
        rise = _paced(missing, mean, stretch / ahead, _BEGINNING if taken else _PROBE)
        return min(rise, self._affordable(sizes, mean, to_lose)), missing

    def _due_of_channels(
        self, sizes: Sequence[Tensor], taken: float, mean: float, stretch: float, ahead: float
    ) -> tuple[float, float]:
        """The same by even shares of the keep ratio, and what a channel at the edge will grow."""
        if self._looks_back(taken):
            grown = value_to_exceed(sizes, self._edge['share']) - self._edge['distance']
            grown = (grown + mean - self._last['threshold']) / (taken - self._last['taken'])
            self._edge['growth'] = (self._edge['growth'] + grown) / 2
        now = keep_ratio_at(sizes, 0.0)
        share = now + (self.share - now) * stretch / ahead
        distance = value_to_exceed(sizes, share)
        self._edge.update(share=share, distance=distance)
        # What is pruned too much does not come back: growth counts no further than the share.
        missing = value_to_exceed(sizes, self.share)
        grown = max(self._edge['growth'] * stretch, 0.0)
        return min(distance + grown, max(distance, missing)), missing

    def _affordable(self, sizes: Sequence[Tensor], threshold: float, to_lose: float) -> float:
        """The rise with which what is lost until the end is all that there is to prune.

        A threshold that is twice as high catches up to twice as many of the weights that cross 0.
        """
        if threshold <= 0 or to_lose <= 0:
            return math.inf
        to_prune = keep_ratio_at(sizes, 0.0) - self.share
        return threshold * (to_prune / to_lose - 1)

    def _beside_task(
        self, by_layer: Mapping[MaskedLayer, Tensor], taken: float, stretch: float, ahead: float
    ) -> None:
        """Lambda where the task moves thresholds too: by even shares, and what the task did."""
        sizes = list(by_layer.values())
        now = keep_ratio_at(sizes, 0.0)
        if self._looks_back(taken):
            lost = (self._last['keep_ratio'] - now) / (taken - self._last['taken'])
            self._loss = (self._loss + lost) / 2
        due = now + (self.share - now) * stretch / ahead
        lr, _, _ = _settings(self.optimizer)
        slowest = value_to_exceed(sizes, self.share) - _COMFORTABLE * (ahead - stretch) * lr
        due = min(due, keep_ratio_at(sizes, slowest)) + self._loss * stretch
        gradients = task_gradients(self.optimizer, list(by_layer))
        lam, expected = lam_beside(self.optimizer, gradients, by_layer, due, stretch)
        self._last = {'taken': taken, 'keep_ratio': expected}
        before = self.optimizer.lam
        self._set(lam)
        settle_beside(self.optimizer, gradients, before)

    def _set(self, lam: float) -> None:
        (threshold, *_) = self.optimizer.network.thresholds.values()
        self.optimizer.lam = _of_first_process(lam, threshold)

    def _looks_back(self, taken: float) -> bool:
        """Whether a sparse stretch lies between the last correction and this one."""
        return bool(self._last) and taken > self._last['taken'] and self.optimizer.network.sparse

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


def keep_ratio_after(optimizer: ThresholdOptimizer, steps: int) -> float:
    """The keep ratio of the weights as they are, once their thresholds have made some steps.

    Args:
        optimizer: The thresholds' optimiser, with its lambda.
        steps: Optimiser steps in sparse phases.
    """
    lr, eps, mean = _settings(optimizer)
    rests = not steps or not lr
    rise = 0.0 if rests else threshold_after(steps, optimizer.lam, lr, eps * math.exp(mean))
    return keep_ratio_at(list(distances(optimizer.network).values()), rise)


def _paced(rise: float, start: float, fraction: float, beginning: float) -> float:
    """The part of a rise that is due in a fraction of the way: by equal ratios, not equal steps.

    Weights that cross 0 are caught below a threshold, however low it is; thresholds that are
    high only late catch fewer.
    """
    if rise <= 0:
        return rise
    base = max(start, (start + rise) * beginning)
    return base * ((start + rise) / base) ** fraction - start


@torch.no_grad()
def _settle(optimizer: ThresholdOptimizer) -> None:
    """Lets Adam remember gradients of this lambda in place of those of the one before."""
    first, second = optimizer.adam.param_groups[0]['betas']
    for threshold in optimizer.network.thresholds.values():
        state = optimizer.adam.state.get(threshold)
        if state:
            gradient = threshold.neg().exp() * -optimizer.lam
            state['exp_avg'].copy_(gradient * (1 - first ** state['step']))
            state['exp_avg_sq'].copy_(gradient.square() * (1 - second ** state['step']))


def _settings(optimizer: ThresholdOptimizer) -> tuple[float, float, float]:
    """Learning rate, eps and the mean threshold."""
    group = optimizer.adam.param_groups[0]
    return group['lr'], group['eps'], optimizer.network.threshold_mean()


def _of_first_process(value: float, like: Tensor) -> float:
    """The first process's number in all of them, whose rounding may differ."""
    if not distributed.is_available() or not distributed.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=like.device)
    distributed.broadcast(shared, 0)
    return shared.item()
