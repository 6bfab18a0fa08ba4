"""One evaluation by MMagic's evaluator, without a runner around it."""

from collections.abc import Callable

import torch
from mmagic.registry import EVALUATORS
from mmengine.evaluator import BaseMetric
from torch import nn
from torch.utils.data import DataLoader


def evaluation_round(
    metrics: list[BaseMetric], model: nn.Module, loader: DataLoader
) -> Callable[[], dict]:
    """Prepares the real side.

    Args:
        metrics: Metrics of generated images.
        model: A GAN of MMagic in eval mode.
        loader: The real images.

    Returns:
        A function that makes the generated images and returns the values.
    """
    evaluator = EVALUATORS.build({'type': 'Evaluator', 'metrics': metrics})
    evaluator.prepare_metrics(model, loader)

    @torch.no_grad()
    def once() -> dict:
        for group, sampler in evaluator.prepare_samplers(model, loader):
            for batch in sampler:
                evaluator.process(model.val_step(batch), batch, group)
        return evaluator.evaluate()

    return once
