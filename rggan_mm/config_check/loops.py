"""Whether a loop of evaluation can use its evaluator."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine import registry as registries
from mmengine.runner import TestLoop, ValLoop

from rggan_mm.errors import ConfigError

from .arguments import find_class

_USUAL = {'val': 'ValLoop', 'test': 'TestLoop'}


def check_loops(config: Mapping[str, Any]) -> None:
    """Refuses MMEngine's loops beside MMagic's evaluator, which asks for more than they give.

    Raises:
        ConfigError: The two do not fit; MMEngine would find out at the first validation.
    """
    for name, usual in _USUAL.items():
        loop, evaluator = config.get(f'{name}_cfg'), config.get(f'{name}_evaluator')
        if not isinstance(loop, Mapping) or not isinstance(evaluator, Mapping):
            continue
        kind = find_class(registries.LOOPS, loop.get('type', usual), f'{name}_cfg')
        if kind in (ValLoop, TestLoop) and _wants_metrics(evaluator, name):
            raise ConfigError(
                f'{name}_cfg: {kind.__name__} does not fit {name}_evaluator; '
                f"take {name}_cfg=dict(type='Multi{name.title()}Loop')"
            )


def _wants_metrics(evaluator: Mapping, name: str) -> bool:
    if 'metrics' not in evaluator:
        return False
    kind = evaluator.get('type', 'Evaluator')
    built = find_class(registries.EVALUATOR, kind, f'{name}_evaluator')
    wanted = inspect.signature(built.process).parameters.get('metrics')
    return wanted is not None and wanted.default is inspect.Parameter.empty
