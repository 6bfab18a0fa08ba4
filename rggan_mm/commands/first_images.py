"""The first real image of a validation, tried before training."""

from collections.abc import Iterator, Sequence

import torch
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from rggan_mm.evaluation.reference import FileReference, Reference
from rggan_mm.training.hook_base import unwrap
from rggan_mm.training.random_streams import streams_kept

# Metrics of this kind give the model the data set's images; others noise.
_OF_DATA = 'normal'


def try_first_images(runner: Runner) -> None:
    """Takes one image of each data set through what a validation does with it.

    What is wrong with the data set's pipeline shows now, not at the first validation. Data
    sets that no metric reads are left alone, and so are the run's random streams.

    Args:
        runner: A runner whose validation loop is built.

    Raises:
        Exception: Whatever data set, preprocessor and model raise.
    """
    for loader, metrics in _pairs(runner):
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


def _pairs(runner: Runner) -> Iterator[tuple[DataLoader, Sequence]]:
    """Loader and metrics of each part of the validation."""
    loop = runner.val_loop
    if loop is None:
        return
    loaders = getattr(loop, 'dataloaders', None) or [loop.dataloader]
    evaluators = getattr(loop, 'evaluators', None) or [loop.evaluator]
    for loader, evaluator in zip(loaders, evaluators, strict=True):
        yield loader, evaluator.metrics or ()
