"""Gradients that have accumulated for an optimiser step that is still to come."""

import math

from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from .hook_base import unwrap


def accumulation(runner: Runner) -> int:
    """Iterations after which no optimiser is within an accumulation; 1 without any."""
    return math.lcm(*(w._accumulative_counts for w in _wrappers(runner).values()))


def is_accumulating(runner: Runner) -> bool:
    """Whether an optimiser holds gradients that wait for more."""
    wrappers = _wrappers(runner).values()
    return any(wrapper.inner_count % wrapper._accumulative_counts for wrapper in wrappers)


def pending(runner: Runner) -> dict:
    """What a resume within an accumulation needs.

    Several processes keep the count alone: each has gradients of its own, of which a
    checkpoint holds none.

    Args:
        runner: A runner that trains.

    Returns:
        Backward passes of each optimiser, and gradients by parameter where one waits for
        more.
    """
    keep = is_accumulating(runner) and get_world_size() == 1
    return {
        'counts': {name: wrapper.inner_count for name, wrapper in _wrappers(runner).items()},
        'gradients': _gradients(runner) if keep else {},
    }


def take_back(runner: Runner, state: dict) -> None:
    """Goes on with the counts and gradients that :func:`pending` gave."""
    for name, wrapper in _wrappers(runner).items():
        wrapper._inner_count = state['counts'].get(name, 0)
    parameters = dict(unwrap(runner.model).named_parameters())
    for name, gradient in state['gradients'].items():
        parameters[name].grad = gradient.to(parameters[name].device)


def _wrappers(runner: Runner) -> dict[str, OptimWrapper]:
    wrapper = runner.optim_wrapper
    return dict(wrapper.items()) if isinstance(wrapper, OptimWrapperDict) else {'': wrapper}


def _gradients(runner: Runner) -> dict:
    parameters = unwrap(runner.model).named_parameters()
    return {name: p.grad for name, p in parameters if p.grad is not None}
