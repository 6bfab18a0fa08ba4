"""Channels-last memory format: faster convolutions, same arithmetic."""

import torch
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rggan_mm.errors import ConfigError

from .hook_base import CheckedHook, is_training

# Networks of MMagic that view what a convolution hands on as one row per image.
_VIEWING = ('StyleGAN2Discriminator', 'MSStyleGAN2Discriminator')


@HOOKS.register_module()
class ChannelsLastHook(CheckedHook):
    """Lays out the weights of convolutions channels last before the first iteration.

    Convolutions then work, and hand on their results, in that format; averaged
    copies and evaluation follow. Weights in checkpoints are the same numbers, and
    so are those that training starts from. MMagic's SNConv2d is left as it is: it
    cannot view such weights as matrices.

    Raises:
        ConfigError: The discriminator is that of StyleGAN2, StyleGAN3 or MSPIE, which
            cannot work in this format.
    """

    # Before DynamicPruningHook: thresholds are no part of the gradients' messages.
    priority = 'HIGH'

    def before_run(self, runner: Runner) -> None:
        """Refuses networks that cannot work so; lays out those that will not train."""
        _refuse_viewing(runner.model)
        if is_training(runner):
            _prepare_messages(runner.model)
        else:
            _lay_out(runner.model)

    def before_train(self, runner: Runner) -> None:
        """Lays out weights that are initialised and loaded: both want them as they were."""
        _lay_out(runner.model)


def _refuse_viewing(model: nn.Module) -> None:
    for module in model.modules():
        if any(kind.__name__ in _VIEWING for kind in type(module).__mro__):
            raise ConfigError(
                f'ChannelsLastHook: {type(module).__name__} cannot work in channels-last memory '
                'format; leave the hook out of custom_hooks'
            )


def _prepare_messages(model: nn.Module) -> None:
    """Lets DistributedDataParallel expect gradients in the format that is to come.

    It takes the format of its messages from the weights when it is built. Where they are laid
    out afterwards, it averages right and hands gradients back in the wrong order.
    """
    wrappers = [
        module
        for module in model.modules()
        if isinstance(module, DistributedDataParallel) and hasattr(module, 'reducer')
    ]
    for wrapper in wrappers:
        _lay_out(wrapper)
        # As if it came out of a pickle: that builds the messages anew.
        wrapper.__setstate__(wrapper.__getstate__())
        _lay_out(wrapper, torch.contiguous_format)


def _lay_out(model: nn.Module, memory_format: torch.memory_format = torch.channels_last) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and not hasattr(module, 'sn_weight'):
            module.to(memory_format=memory_format)
