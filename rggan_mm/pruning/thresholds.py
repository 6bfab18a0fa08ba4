"""Steps a network's thresholds together with the network's own optimiser."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from rggan_mm.errors import ConfigError

from .sparse_network import SparseLayers, SparseNetwork

Scale = Callable[[], Tensor | float | None]


class ThresholdOptimizer:
    """An Adam of the thresholds' own, driven by the network's optimiser.

    Around each step of the main optimiser: raw gradients are masked and the
    regulariser's gradient is added before it, thresholds are stepped after it; all that
    for the layers whose weights it updates (SinGAN has one optimiser per stage). So
    gradient accumulation and steps that a GradScaler skips are respected, and
    schedulers of the main optimiser do not touch the thresholds. The arithmetic is
    that of one optimiser for both.

    Args:
        network: The sparse network.
        strength: The regulariser's weight lambda, finite and >= 0.
        lr: Learning rate of the thresholds. Defaults to the published 2e-4.
        betas: Adam's betas. Defaults to the published (0.0, 0.9).
        eps: Adam's eps. Defaults to 1e-8. With betas (0, 0.9) a threshold moves by
            about lr * strength / (strength + eps) per step.

    Raises:
        ConfigError: When ``strength`` is negative, NaN or infinite, Adam refuses a
            setting, or the network is in half precision (Adam's eps and small
            strengths vanish there; use autocast instead).
    """

    def __init__(
        self,
        network: SparseNetwork,
        strength: float,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        eps: float = 1e-8,
    ) -> None:
        self.network = network
        self.strength = check_strength(strength)
        thresholds = list(network.thresholds.values())
        _refuse_half_precision(thresholds)
        self.adam = build_adam(thresholds, lr, betas, eps)
        self._undo: list[Callable[[], object]] = []
        self._average: Callable[[list[Tensor]], object] = lambda gradients: None

    def follow(
        self,
        optimizer: Optimizer,
        scale: Scale | None = None,
        average: Callable[[list[Tensor]], object] | None = None,
        siblings: Sequence[SparseNetwork] = (),
    ) -> None:
        """Starts stepping with an optimiser.

        Args:
            optimizer: The network's own optimiser, without the thresholds.
            scale: Returns the loss scale of mixed precision, by which task
                gradients of thresholds are divided (a GradScaler does not know
                them); None or returning None means 1.
            average: Averages a list of task gradients over processes in place; a
                distributed wrapper made before the thresholds does not know them.
            siblings: Other networks through which this one's loss runs. What it
                sends into their thresholds is dropped when its step is over.

        Raises:
            ConfigError: A fused optimiser with a loss scale: it decides inside its
                step whether to skip it, which nobody outside can see. An optimiser
                that holds thresholds: they would step twice.
        """
        parameters = [p for group in optimizer.param_groups for p in group['params']]
        self._refuse_thresholds_in(parameters)
        if scale is not None and any(group.get('fused') for group in optimizer.param_groups):
            raise ConfigError(
                'optimizer: fused=True does not go with loss scaling here; set fused=False'
            )
        self._average = average or self._average
        others = [network for network in siblings if not network.updated_with(parameters).layers]
        updated = self.network.updated_with(parameters)
        zero_grad = optimizer.zero_grad
        optimizer.zero_grad = self._also_discarding(zero_grad, updated, others)
        before = partial(self._before_step, updated, scale or (lambda: None))
        after = partial(self._after_step, updated, others)
        self._undo += [
            optimizer.register_step_pre_hook(before).remove,
            optimizer.register_step_post_hook(after).remove,
            partial(setattr, optimizer, 'zero_grad', zero_grad),
        ]

    def unfollow(self) -> None:
        """Stops following every optimiser."""
        while self._undo:
            self._undo.pop()()

    def state_dict(self) -> dict:
        """Adam's state."""
        return self.adam.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Restores Adam's moments; the learning rate and betas stay as configured."""
        current = self.adam.state_dict()
        self.adam.load_state_dict({**current, 'state': state['state']})

    def _refuse_thresholds_in(self, parameters: Sequence[Tensor]) -> None:
        own = {id(parameter) for parameter in parameters}
        for name, threshold in self.network.thresholds.items():
            if id(threshold) in own:
                raise ConfigError(
                    f'optimizer: it holds the thresholds of layer {name!r}, which have an '
                    'optimizer of their own; build it before the network is made sparse'
                )

    def _before_step(self, updated: SparseLayers, scale: Scale, *_: object) -> None:
        if not self.network.sparse:
            updated.discard_gradients()
            return
        self._prepare_task_gradients(updated, scale())
        updated.mask_raw_gradients()
        updated.add_regularizer_gradient(self.strength)

    def _after_step(self, updated: SparseLayers, others: list[SparseNetwork], *_: object) -> None:
        with self._others_waiting(updated):
            self.adam.step()
        updated.end_step()
        _discard_from(others)

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

    def _also_discarding(
        self, zero_grad: Callable, updated: SparseLayers, others: list[SparseNetwork]
    ) -> Callable:
        @wraps(zero_grad)
        def zero_all(*args: object, **kwargs: object) -> None:
            zero_grad(*args, **kwargs)
            updated.discard_gradients()
            _discard_from(others)

        return zero_all


def _discard_from(networks: Sequence[SparseNetwork]) -> None:
    for network in networks:
        network.discard_gradients()


def build_adam(
    parameters: Sequence[Tensor], lr: float, betas: tuple[float, float], eps: float
) -> Adam:
    """Builds an Adam, or raises ConfigError with the setting that it refuses."""
    try:
        first, second = (float(beta) for beta in betas)
        options = {'lr': lr, 'betas': (first, second), 'eps': eps}
        return _adam_in_one_call(list(parameters), options)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f'lr={lr!r}, betas={betas!r}, eps={eps!r}: not what Adam takes ({error})'
        ) from None


def _adam_in_one_call(parameters: list[Tensor], options: dict) -> Adam:
    # One kernel for all thresholds, which are many and small. Before PyTorch 2.4 there is
    # none on the CPU.
    try:
        return Adam(parameters, **options, fused=True)
    except RuntimeError:
        return Adam(parameters, **options, foreach=True)


def _refuse_half_precision(thresholds: Sequence[Tensor]) -> None:
    half = [t.dtype for t in thresholds if t.dtype in (torch.float16, torch.bfloat16)]
    if half:
        raise ConfigError(
            f'thresholds are {half[0]}, in which their steps vanish; keep the weights in '
            'float32 and train with autocast (--amp)'
        )


def check_strength(value: float, name: str = 'lam') -> float:
    """Returns lambda as a float, or raises ConfigError when it is not finite and >= 0."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value >= 0):
        raise ConfigError(f'{name}={value!r} must be a finite number >= 0, such as 1e-13')
    return float(value)
