"""Runs that are checked before they are built."""

from collections.abc import Mapping
from functools import wraps
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rggan_mm.config_check.check import check_config, check_training
from rggan_mm.config_check.memory import weights_within_memory

from .config_errors import errors_of_config
from .first_images import try_first_images


class _FirstIteration(Hook):
    """Tries what the first validation needs; knows when the first training step is done."""

    priority = 'HIGHEST'
    done = False

    def before_train(self, runner: Runner) -> None:
        try_first_images(runner)

    def after_train_iter(self, *args: Any, **kwargs: Any) -> None:
        self.done = True


def train_checked(config: Config) -> Runner:
    """Builds a run and trains; a config that cannot work ends in one line.

    Until the first iteration is done, what MMEngine, MMagic and PyTorch raise is taken as
    word on the config. After that an exception passes as it is.

    Args:
        config: A config that :meth:`mmengine.runner.Runner.from_cfg` takes.

    Returns:
        The runner, after training.

    Raises:
        ConfigError: The config is wrong, or has nothing to train.
    """
    first = _FirstIteration()
    check_training(config)
    with errors_of_config(config, over=lambda: first.done):
        runner = Runner.from_cfg(config)
        runner.register_hook(first)
        runner.train()
    return runner


def check_before_building() -> None:
    """Makes ``Runner.from_cfg`` check a config before it builds anything."""
    original = Runner.from_cfg.__func__

    @wraps(original)
    def from_cfg(cls: type[Runner], cfg: Mapping[str, Any]) -> Runner:
        check_config(cfg)
        with weights_within_memory():
            return original(cls, cfg)

    Runner.from_cfg = classmethod(from_cfg)
