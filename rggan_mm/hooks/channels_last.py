"""Channels-last memory format: faster convolutions, same arithmetic."""

import torch
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .base import CheckedHook


@HOOKS.register_module()
class ChannelsLastHook(CheckedHook):
    """Lays out all four-dimensional weights channels last before the run.

    Convolutions then work, and hand on their results, in that format; averaged
    copies and evaluation follow. Weights in checkpoints are the same numbers.
    """

    def before_run(self, runner: Runner) -> None:
        """Changes the memory format of the model."""
        runner.model.to(memory_format=torch.channels_last)
