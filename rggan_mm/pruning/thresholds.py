"""Steps a network's thresholds together with the network's own optimiser."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, distributed
from torch.optim import Optimizer

from rggan_mm.errors import ConfigError

from .optimizers import (
    build_adam,
    discarding_too,
    frozen_parameters,
    take_out,
)
from .sparse_layers import SparseLayers
from .sparse_network import SparseNetwork
from .steps import StepFollower

Scale = Callable[[], Tensor | float | None]
# Published settings of the thresholds' Adam.
LR = 2e-4
BETAS = (0.0, 0.9)
EPS = 1e-8


class ThresholdOptimizer(StepFollower):
    """An Adam of the thresholds' own, driven by the network's optimiser.

    Around each step of the main optimiser: raw gradients are masked and the
    regulariser's gradient is added before it, thresholds are stepped after it; all that
    for the layers whose weights it updates (SinGAN has one optimiser per stage). So
    gradient accumulation and steps that a GradScaler skips are respected, and
    schedulers of the main optimiser do not touch the thresholds. The arithmetic is
    that of one optimiser for both.

    A pruned weight keeps its value ('published' mode): with a gradient of 0 Adam leaves it alone
    where beta1 and weight decay are 0, as published; after the step of another optimiser it
    gets its value back.

    Args:
        network: The sparse network.
        lam: The regulariser's weight lambda, finite and >= 0.
        lr: Learning rate of the thresholds. Defaults to the published 2e-4.
        betas: Adam's betas. Defaults to the published (0.0, 0.9).
        eps: Adam's eps. Defaults to 1e-8. With betas (0, 0.9) a threshold moves by
            about lr * lam / (lam + eps) per step.

    Raises:
        ConfigError: When ``lam`` is negative, NaN or infinite, Adam refuses a
            setting, or the network is in half precision (Adam's eps and small
            lambdas vanish there; use autocast instead).
    """

    def __init__(
        self,
        network: SparseNetwork,
        lam: float,
        lr: float = LR,
        betas: tuple[float, float] = BETAS,
        eps: float = EPS,
    ) -> None:
        super().__init__(network)
        self._lam, self._lam_on_device = check_lam(lam), None
        thresholds = list(network.thresholds.values())
        _refuse_half_precision(thresholds)
        self.adam = build_adam(thresholds, lr, betas, eps)
        self._average: Callable[[list[Tensor]], object] = average_over_processes

    @property
    def lam(self) -> float:
        """The regulariser's weight; it may change between two steps."""
        return self._lam

    @lam.setter
    def lam(self, value: float) -> None:
        self._lam = value
        if self._lam_on_device is not None:
            self._lam_on_device.fill_(value)

    def keep_lam_on_device(self) -> None:
        """Lets steps read lambda where the thresholds are: a recorded step follows it then."""
        threshold = next(iter(self.network.thresholds.values()))
        self._lam_on_device = threshold.new_tensor(self._lam)

    def follow(
        self,
        optimizer: Optimizer,
        scale: Scale | None = None,
        average: Callable[[list[Tensor]], object] | None = None,
        siblings: Sequence[SparseNetwork] = (),
    ) -> 'ThresholdOptimizer':
        """Starts stepping with an optimiser.

        Thresholds are taken out of an optimiser that was built after them: they would step
        twice.

        Args:
            optimizer: The network's own optimiser.
            scale: Returns the loss scale of mixed precision, by which task
                gradients of thresholds are divided (a GradScaler does not know
                them); None or returning None means 1.
            average: Averages a list of task gradients over processes in place; a
                distributed wrapper made before the thresholds does not know them.
                None (default): :func:`average_over_processes`.
            siblings: Other networks through which this one's loss runs. What it
                sends into their thresholds is dropped when its step is over.

        Returns:
            This object.

        Raises:
            ConfigError: A fused optimiser with a loss scale: it decides inside its
                step whether to skip it, which nobody outside can see.
        """
        if scale is not None and any(group.get('fused') for group in optimizer.param_groups):
            raise ConfigError(
                'optimizer: fused=True does not go with loss scaling here; set fused=False'
            )
        for network in (self.network, *siblings):
            take_out(optimizer, network.thresholds.values())
        parameters = [p for group in optimizer.param_groups for p in group['params']]
        self._average = average or self._average
        others = [network for network in siblings if not network.updated_with(parameters).layers]
        updated = self.network.updated_with(parameters)
        before = partial(self._prepare_step, updated, scale or (lambda: None), optimizer)
        self._around(optimizer, before, partial(self._finish_step, updated, others))
        self._undo.append(discarding_too(optimizer, [updated, *others]))
        return self

    def state_dict(self) -> dict:
        """Adam's state."""
        return self.adam.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Restores Adam's moments; the learning rate and betas stay as configured."""
        current = self.adam.state_dict()
        self.adam.load_state_dict({**current, 'state': state['state']})

    def _prepare_step(self, updated: SparseLayers, scale: Scale, optimizer: Optimizer) -> None:
        if not self.network.sparse:
            updated.discard_gradients()
            return
        self._prepare_task_gradients(updated, scale())
        lam = self._lam if self._lam_on_device is None else self._lam_on_device
        updated.add_regularizer_gradient(lam, frozen_parameters(optimizer))
        self.before_step(updated, optimizer)

    def _finish_step(self, updated: SparseLayers, others: list[SparseNetwork]) -> None:
        with self._others_waiting(updated):
            self.adam.step()
        self.after_step(updated)
        for network in others:
            network.discard_gradients()

    @contextmanager
    def _others_waiting(self, updated: SparseLayers) -> Iterator[None]:
        """Keeps task gradients of layers that another optimiser updates for its step."""
        own = updated.layers
        others = [t for name, t in self.network.thresholds.items() if name not in own]
        kept = [(threshold, threshold.grad) for threshold in others]
        for threshold in others:
            threshold.grad = None
        yield
        for threshold, gradient in kept:
            threshold.grad = gradient

    def _prepare_task_gradients(self, updated: SparseLayers, scale: Tensor | float | None) -> None:
        thresholds = updated.thresholds.values()
        gradients = [t.grad for t in thresholds if t.grad is not None]
        if scale is not None:
            for gradient in gradients:
                gradient.div_(scale)
        if gradients:
            self._average(gradients)


def average_over_processes(gradients: list[Tensor]) -> None:
    """Averages gradients over the processes of torch.distributed, in one message.

    Args:
        gradients: Changed in place; left alone where one process trains.
    """
    if not distributed.is_available() or not distributed.is_initialized():
        return
    world = distributed.get_world_size()
    if world == 1:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    parts = flat.div_(world).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def check_lam(value: float, name: str = 'lam') -> float:
    """Returns lambda as a float, or raises ConfigError when it is not finite and >= 0."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value >= 0):
        raise ConfigError(f'{name}={value!r} must be a finite number >= 0, such as 1e-13')
    return float(value)


def _refuse_half_precision(thresholds: Sequence[Tensor]) -> None:
    half = [t.dtype for t in thresholds if t.dtype in (torch.float16, torch.bfloat16)]
    if half:
        raise ConfigError(
            f'thresholds are {half[0]}, in which their steps vanish; keep the weights in '
            'float32 and train with autocast (--amp)'
        )
