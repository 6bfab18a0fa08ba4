"""A training in which a wrong config ends in one line."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner, ValLoop
from torch import nn
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.reference import FileReference, Reference
from rggan_mm.hooks.validation import check_metrics, loaders_and_metrics
from rggan_mm.training import SafeRunner
from rggan_mm.training.hook_base import unwrap
from rggan_mm.training.random_streams import streams_kept

from .config_errors import errors_of_config
from .threads import choose_threads

NEEDED = ('model', 'train_cfg', 'train_dataloader', 'optim_wrapper')
# Metrics of this kind give the model the data set's images; others give it noise.
_OF_DATA = 'normal'


def train_checked(config: Config) -> Runner:
    """Builds a run and trains; a config that cannot work ends in one line.

    Until the first iteration is done, an exception of MMEngine, MMagic, PyTorch or this
    package is taken as an error of the config. After that an exception passes as it is.

    Args:
        config: A config that :meth:`mmengine.runner.Runner.from_cfg` takes.

    Returns:
        The runner, after training: a SafeRunner, whether the config has hooks of this
        package or not.

    Raises:
        ConfigError: The config is wrong, or has nothing to train.
    """
    _refuse_nothing_to_train(config)
    first = _FirstIteration()
    with errors_of_config(config, over=lambda: first.done):
        runner = SafeRunner.from_cfg(config)
        choose_threads(runner)
        runner.register_hook(first)
        runner.train()
    return runner


def _refuse_nothing_to_train(config: Mapping[str, Any]) -> None:
    for name in NEEDED:
        if config.get(name) is None:
            raise ConfigError(f'{name} is missing: a training needs {", ".join(NEEDED)}')


class _FirstIteration(Hook):
    """Tries what the first validation needs; knows when the first training step is done."""

    priority = 'LOWEST'  # other hooks belong to the iteration
    done = False

    def before_train(self, runner: Runner) -> None:
        _check_loop(runner)
        check_metrics(runner)
        try_first_images(runner)

    def after_train_iter(self, *args: Any, **kwargs: Any) -> None:
        self.done = True


def _check_loop(runner: Runner) -> None:
    """MMagic's evaluator asks for more than MMEngine's loop, the default one, gives."""
    from mmagic.evaluation import Evaluator  # once the plugin has repaired it

    if isinstance(runner.val_loop, ValLoop) and isinstance(runner.val_loop.evaluator, Evaluator):
        raise ConfigError(
            "val_cfg: ValLoop does not fit MMagic's Evaluator in val_evaluator; take "
            "val_cfg=dict(type='MultiValLoop')"
        )


def try_first_images(runner: Runner) -> None:
    """Takes one image of each data set through what a validation does with it.

    An error in the data set's pipeline shows now, not at the first validation. Data sets
    that no metric reads are left alone, and so are the run's random streams.

    Args:
        runner: A runner whose validation loop is built.

    Raises:
        Exception: Whatever data set, preprocessor and model raise.
    """
    for loader, metrics in loaders_and_metrics(runner):
        feeds_model = any(getattr(metric, 'SAMPLER_MODE', None) == _OF_DATA for metric in metrics)
        if feeds_model or any(map(_reads_images, metrics)):
            with torch.no_grad(), streams_kept():
                _try(runner.model, loader, feeds_model)


def _try(model: nn.Module, loader: DataLoader, feeds_model: bool) -> None:
    batch = loader.collate_fn([loader.dataset[0]])
    if not feeds_model:
        unwrap(model).data_preprocessor(batch)
        return
    was_training = model.training
    model.eval()
    try:
        model.val_step(batch)
    finally:
        model.train(was_training)


def _reads_images(metric: object) -> bool:
    """Whether a metric of ours takes its statistics from the data set."""
    reference = getattr(metric, 'reference', None)
    return isinstance(reference, Reference) and not isinstance(reference, FileReference)
