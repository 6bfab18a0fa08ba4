"""Channels-last memory format: faster convolutions, same arithmetic."""

import torch
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from .base import CheckedHook


@HOOKS.register_module()
class ChannelsLastHook(CheckedHook):
    """Lays out the weights of convolutions channels last before the run.

    Convolutions then work, and hand on their results, in that format; averaged
    copies and evaluation follow. Weights in checkpoints are the same numbers.
    MMagic's SNConv2d is left as it is: it cannot view such weights as matrices.
    """

    def before_run(self, runner: Runner) -> None:
        """Changes the memory format of convolutions."""
        for module in runner.model.modules():
            if isinstance(module, nn.Conv2d) and not hasattr(module, 'sn_weight'):
                module.to(memory_format=torch.channels_last)
