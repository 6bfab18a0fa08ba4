"""StyleGAN2's modulated convolution with one kernel for all samples.

MMagic makes a kernel for each sample and convolves in as many groups, a number that a
traced graph cannot leave open. Styles scale channels of the input, and the demodulation
those of the output, so that the same comes out of one convolution.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

_KIND = 'ModulatedConv2d'


def convolve_together(network: nn.Module) -> None:
    """Gives the modulated convolutions of a network another forward, in place.

    Equal but for rounding. Other layers, and those in half precision, stay.
    """
    for module in network.modules():
        kinds = {kind.__name__: kind for kind in type(module).__mro__}
        own = kinds.get(_KIND)
        if own and type(module).forward is own.forward and not module.fp16_enabled:
            module.forward = partial(_forward, module)


def _forward(module: nn.Module, x: Tensor, style: Tensor, input_gain: Tensor | None = None):
    weight = module.weight[0]
    style = module.style_modulation(style) + module.style_bias
    demodulation = torch.rsqrt(style.pow(2) @ weight.pow(2).sum([2, 3]).t() + module.eps)
    if input_gain is not None:
        style = style * input_gain
    x = x * style[:, :, None, None]
    if module.upsample:
        x = module.blur(functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
    elif module.downsample:
        x = functional.conv2d(module.blur(x), weight, stride=2)
    else:
        x = functional.conv2d(x, weight, padding=module.padding)
    return x * demodulation[:, :, None, None] if module.demodulate else x
