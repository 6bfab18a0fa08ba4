"""Gradients that accumulate over several iterations, which no checkpoint holds."""

import math

from mmengine.optim import OptimWrapper
from mmengine.runner import Runner


def accumulation(runner: Runner) -> int:
    """Iterations after which no optimiser is within an accumulation; 1 without any."""
    return math.lcm(*(wrapper._accumulative_counts for wrapper in _wrappers(runner)))


def is_accumulating(runner: Runner) -> bool:
    """Whether an optimiser holds gradients that wait for more."""
    wrappers = _wrappers(runner)
    return any(wrapper._inner_count % wrapper._accumulative_counts for wrapper in wrappers)


def _wrappers(runner: Runner) -> list[OptimWrapper]:
    given = runner.optim_wrapper
    return list(given.values()) if hasattr(given, 'values') else [given]
