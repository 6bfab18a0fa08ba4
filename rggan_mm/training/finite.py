"""What is not finite in a training run, and since when."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from .hook_base import unwrap

# A dynamic loss scale halves at each skipped step; so many bring 65536 below 1e-4.
SKIPPED_STEPS = 32


@dataclass(frozen=True)
class Divergence:
    """That a run diverged.

    Attributes:
        iteration: The first bad iteration, counted as in the log.
        loss: Which loss was what, such as 'loss_gen is nan'; '' when all were finite.
        weights: Names of what is not finite, by network.
    """

    iteration: int
    loss: str
    weights: dict[str, list[str]]

    def __str__(self) -> str:
        weights = describe(self.weights) or 'all weights are finite'
        return f'training diverged at iteration {self.iteration}: ' + '; '.join(
            filter(None, [self.loss, weights])
        )


class LossWatch:
    """Remembers the first loss that was not finite so many times in a row.

    Args:
        patience: How many times.
    """

    def __init__(self, patience: int = 1) -> None:
        self.patience = patience
        self.found: tuple[int, str] | None = None
        self._bad: dict[str, tuple[int, int]] = {}

    def see(self, iteration: int, losses: Mapping[str, float]) -> None:
        """Takes in the losses of an iteration by name."""
        # The sum comes last: a part says more.
        for name in sorted(losses, key='loss'.__eq__):
            if math.isfinite(losses[name]):
                self._bad.pop(name, None)
            else:
                self._count(iteration, name, losses[name])

    def _count(self, iteration: int, name: str, value: float) -> None:
        first, before = self._bad.get(name, (iteration, 0))
        self._bad[name] = first, before + 1
        if self.found is None and before + 1 >= self.patience:
            self.found = first, f'{name} is {value}'


def patience_of(optim_wrapper: OptimWrapper | OptimWrapperDict) -> int:
    """How often in a row a loss must be bad before a run has diverged.

    Once; more often with a loss scale, which skips the step of a loss that overflows and
    is then lowered. A gradient penalty overflows so in healthy runs.

    Args:
        optim_wrapper: The run's.

    Returns:
        A number of training iterations.
    """
    several = isinstance(optim_wrapper, OptimWrapperDict)
    wrappers = list(optim_wrapper.values()) if several else [optim_wrapper]
    scalers = [getattr(wrapper, 'loss_scaler', None) for wrapper in wrappers]
    if not any(scaler is not None and scaler.is_enabled() for scaler in scalers):
        return 1
    return SKIPPED_STEPS * max(wrapper._accumulative_counts for wrapper in wrappers)


@torch.no_grad()
def not_finite(model: nn.Module) -> dict[str, list[str]]:
    """Names of the weights and buffers of a model that hold a NaN or an infinity.

    It looks at what a checkpoint would hold and waits for the device once.

    Args:
        model: The GAN, wrapped or not.

    Returns:
        Names by network; networks without any are left out.
    """
    state = {name: value for name, value in unwrap(model).state_dict().items() if _floats(value)}
    if not state:
        return {}
    # Repairs of MMagic keep a few numbers of growing models on the CPU among the weights.
    device = next(iter(state.values())).device
    flags = torch.stack([value.isfinite().all().to(device) for value in state.values()])
    bad: dict[str, list[str]] = {}
    for name, good in zip(state, flags.tolist(), strict=True):
        if not good:
            network, _, weight = name.partition('.')
            bad.setdefault(network, []).append(weight)
    return bad


def describe(weights: Mapping[str, list[str]]) -> str:
    """Names networks with the number of their bad weights and the first of them."""
    parts = (f'{len(names)} in {network} ({names[0]})' for network, names in weights.items())
    return f'weights that are not finite: {", ".join(parts)}' if weights else ''


def agree(found: Divergence | None) -> Divergence | None:
    """What any process found, the earliest first; the processes meet here.

    Args:
        found: What this process found.

    Returns:
        The same on all processes.
    """
    anybody = torch.tensor(float(found is not None))
    all_reduce(anybody, op='max')
    if not anybody:
        return None
    findings = [item for item in all_gather_object(found) if item is not None]
    return min(findings, key=lambda item: item.iteration)


def _floats(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
