"""Every kind of layer that can be pruned, and small helpers."""

import torch
from mmagic.models.editors.biggan.biggan_snmodule import SNConv2d, SNLinear
from mmagic.models.editors.pggan.pggan_modules import EqualizedLRConvModule, EqualizedLRConvUpModule
from mmagic.models.editors.stylegan2.stylegan2_modules import ModulatedConv2d
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm


class WithStyle(nn.Module):
    """Feeds a modulated convolution a constant style."""

    def __init__(self):
        super().__init__()
        self.conv = ModulatedConv2d(4, 6, 3, style_channels=5)

    def forward(self, x):
        return self.conv(x, torch.ones(x.shape[0], 5, dtype=x.dtype))


NETWORKS = {
    'conv1d': (lambda: nn.Conv1d(4, 6, 3), (2, 4, 8)),
    'conv2d': (lambda: nn.Conv2d(4, 6, 3), (2, 4, 8, 8)),
    'conv3d': (lambda: nn.Conv3d(4, 6, 3), (2, 4, 4, 4, 4)),
    'transposed': (lambda: nn.ConvTranspose2d(4, 6, 3), (2, 4, 8, 8)),
    'transposed grouped': (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 4, 8, 8)),
    'linear': (lambda: nn.Linear(4, 6), (2, 4)),
    'old spectral norm': (lambda: spectral_norm(nn.Conv2d(4, 6, 3)), (2, 4, 8, 8)),
    'new spectral norm': (lambda: parametrizations.spectral_norm(nn.Conv2d(4, 6, 3)), (2, 4, 8, 8)),
    'equalised lr': (
        lambda: EqualizedLRConvModule(4, 6, 3, padding=1, act_cfg=None, norm_cfg=None),
        (2, 4, 8, 8),
    ),
    'fused upsampling': (
        lambda: EqualizedLRConvUpModule(
            4,
            6,
            3,
            conv_cfg=dict(type='deconv'),
            upsample=dict(type='fused_nn'),
            stride=2,
            padding=1,
            act_cfg=None,
            norm_cfg=None,
        ),
        (2, 4, 8, 8),
    ),
    'SNConv2d': (lambda: SNConv2d(4, 6, 3), (2, 4, 8, 8)),
    'SNLinear': (lambda: SNLinear(4, 6), (2, 4)),
    'modulated': (WithStyle, (2, 4, 8, 8)),
}


def build(name):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    return nn.Sequential(make()).double(), torch.randn(shape, dtype=torch.float64)


def set_thresholds(sparse, value):
    with torch.no_grad():
        for threshold in sparse.thresholds.values():
            threshold.fill_(value)
