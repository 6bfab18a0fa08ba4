"""What masks ask for around each step of a network's optimiser."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps

from torch.optim import Optimizer

from .optimizers import moves_without_gradient
from .sparse_layers import SparseLayers
from .sparse_network import SparseNetwork


class StepFollower:
    """Masks gradients before each step of an optimiser, and lets pruned weights rest in it.

    All that for the layers whose weights it updates (SinGAN has one optimiser per stage).
    Gradient accumulation and steps that a GradScaler skips are respected.

    Args:
        network: The sparse network.
    """

    def __init__(self, network: SparseNetwork) -> None:
        self.network = network
        self._undo: list[Callable[[], object]] = []
        self._give_back: Callable[[], None] | None = None

    def follow(self, optimizer: Optimizer) -> StepFollower:
        """Starts acting around an optimiser's steps.

        Args:
            optimizer: One of those that train the network.

        Returns:
            This object.
        """
        updated = self.network.updated_with(p for g in optimizer.param_groups for p in g['params'])
        before = partial(self.before_step, updated, optimizer)
        self._around(optimizer, before, partial(self.after_step, updated))
        return self

    def unfollow(self) -> None:
        """Stops following every optimiser; they are what they were."""
        while self._undo:
            self._undo.pop()()

    def before_step(self, updated: SparseLayers, optimizer: Optimizer) -> None:
        """Acts when the gradients of a step are there.

        Args:
            updated: The layers that the optimiser updates.
            optimizer: The optimiser.
        """
        if not self.network.sparse:
            return
        updated.mask_raw_gradients()
        if moves_without_gradient(optimizer):
            self._give_back = updated.pruned_weights()

    def after_step(self, updated: SparseLayers) -> None:
        """Acts when the step is made.

        Args:
            updated: The layers that the optimiser updates.
        """
        if self._give_back is not None:
            self._give_back()
            self._give_back = None
        updated.end_step()

    def state_dict(self) -> dict:
        """What a stopped run needs beside the network's state."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Goes on from what :meth:`state_dict` returned."""

    def _around(
        self, optimizer: Optimizer, before: Callable[[], None], after: Callable[[], None]
    ) -> None:
        if not self._undo:
            self.network.on_detach.append(self.unfollow)
        self._undo += [
            optimizer.register_step_pre_hook(partial(_with_gradients, before)).remove,
            optimizer.register_step_post_hook(lambda *_: after()).remove,
        ]


def _with_gradients(
    prepare: Callable[[], None], optimizer: Optimizer, args: tuple, kwargs: dict
) -> tuple[tuple, dict] | None:
    """Prepares a step once its gradients are there: after the closure, where there is one."""
    closure = kwargs.get('closure', args[1] if len(args) > 1 else None)
    if closure is None:
        prepare()
        return None

    @wraps(closure)
    def compute() -> object:
        loss = closure()
        prepare()
        return loss

    return (args[0], compute, *args[2:]), {k: v for k, v in kwargs.items() if k != 'closure'}
