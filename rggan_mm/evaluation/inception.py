"""The Inception network of the published FID, KID and Inception Score.

Network and weights: the one of Heusel et al., NeurIPS 2017 (Szegedy et al., CVPR 2016, in
the TensorFlow version of 2015-12-05), as ported by the package ``pytorch_fid``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from pytorch_fid import inception as fid_inception
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.inception import BasicConv2d

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.weights_file import (
    WeightsFile,
    hub_weights,
    local_weights,
    one_line,
    state_dict,
)

PUBLISHED_SHA256 = '6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2'
PUBLISHED_NAME = 'inception-2015-12-05'
CPU_CHUNK = 8  # images; what a layer leaves stays in the cache for the next one


@MODELS.register_module()
class InceptionExtractor(nn.Module):
    """Features and class scores as ``pytorch_fid`` computes them, to float rounding.

    ``forward`` gives the 2048 features of the last average pooling. Images are rounded
    to 8 bits first: the published path, and ``pytorch_fid``, read them from image files.
    Then they are resized to 299x299 (bilinear, without antialiasing).

    Numbers do not depend on how the images come in batches, nor on autocast: a training
    with mixed precision is measured in float32. PyTorch's switch for TF32 convolutions
    (``torch.backends.cudnn.allow_tf32``) is left alone, as ``pytorch_fid`` leaves it.

    Attributes:
        name: ``'inception-2015-12-05'`` with the published weights, else ``'inception-'``
            and the first 8 digits of the file's SHA-256, so that numbers of other weights
            never look like published ones.

    Args:
        weights: File with a state dict in the format of the published one. None takes the
            published one from torch.hub's folder and downloads it if it is not there
            (91 MiB); under several processes all of them must then build this.
            Default: None.
        sha256: What the file's SHA-256 must begin with, at least 8 hexadecimal digits.
            Default: None: any for ``weights=FILE``, else that of the published file.
        logit_bias: Whether :meth:`classify` adds the bias of the last layer.
            Default: False.
        url: Where to download from, such as a mirror; without effect on ``weights=FILE``.
            Default: where ``pytorch_fid`` has it.

    Raises:
        ConfigError: The file is missing, cannot be downloaded, is another one than
            ``sha256`` names, or holds no weights of this network.
    """

    short_name = 'inception'
    resize = 'bilinear 299'

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        sha256: str | None = None,
        logit_bias: bool = False,
        url: str = fid_inception.FID_WEIGHTS_URL,
    ):
        super().__init__()
        if weights is None:
            file = hub_weights(url, PUBLISHED_SHA256 if sha256 is None else sha256)
        else:
            file = local_weights(weights, sha256)
        published = file.sha256 == PUBLISHED_SHA256
        self.name = PUBLISHED_NAME if published else f'inception-{file.sha256[:8]}'
        self.logit_bias = logit_bias
        self.net, self.fc = _networks(file)
        self.requires_grad_(False).train(False)

    def train(self, mode: bool = True) -> 'InceptionExtractor':
        """Stay in evaluation mode, whatever a module around it does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of images in [0, 1]: (N, 3, H, W) to (N, 2048), float32."""
        images = (images.float().clamp(0, 1) * 255).round() / 255
        on_cpu = images.device.type == 'cpu'
        with torch.autocast(images.device.type, enabled=False):
            parts = images.split(CPU_CHUNK) if on_cpu else [images]
            return torch.cat([self._features(part) for part in parts])

    def _features(self, images: Tensor) -> Tensor:
        # With fused layers, channels last saves a third to a half of the time on a CPU.
        return self.net(images.contiguous(memory_format=torch.channels_last))[0].flatten(1)

    @torch.no_grad()
    def classify(self, features: Tensor) -> Tensor:
        """Class scores ahead of the softmax: (N, 2048) to (N, 1008), float32.

        Without the bias of the last layer by default: the code behind the published
        Inception Scores (Salimans et al., NeurIPS 2016) multiplies with the weights only,
        and so do those that compare with it (``logits_unbiased`` in torch-fidelity).
        """
        with torch.autocast(features.device.type, enabled=False):
            bias = self.fc.bias if self.logit_bias else None
            return F.linear(features.float(), self.fc.weight, bias)


def pytorch_fid_network(file: WeightsFile) -> nn.Module:
    """The network as ``pytorch_fid`` builds and runs it, with the weights of a file.

    Raises:
        ConfigError: The file holds no weights of this network.
    """
    # The weights about to be drawn are replaced; the stream of a training must not move.
    with torch.random.fork_rng(devices=[]), _weights_for_pytorch_fid(state_dict(file)):
        try:
            return fid_inception.InceptionV3().eval()
        except RuntimeError as error:
            raise ConfigError(
                f'weights {file.path} are not those of the FID Inception network: {one_line(error)}'
            ) from error


def _networks(file: WeightsFile) -> tuple[nn.Module, nn.Linear]:
    """The network up to the features, and its last layer."""
    net = _fused(pytorch_fid_network(file)).to(memory_format=torch.channels_last)
    state = state_dict(file)
    fc = nn.utils.skip_init(nn.Linear, 2048, 1008)
    fc.load_state_dict({'weight': state['fc.weight'], 'bias': state['fc.bias']})
    return net, fc


@contextmanager
def _weights_for_pytorch_fid(state: dict[str, Tensor]) -> Iterator[None]:
    """Hand these to pytorch_fid, which else downloads and unpickles a file by itself."""
    original = fid_inception.load_state_dict_from_url
    fid_inception.load_state_dict_from_url = lambda *args, **kwargs: state
    try:
        yield
    finally:
        fid_inception.load_state_dict_from_url = original


def _fused(net: nn.Module) -> nn.Module:
    """Fold every batch norm into the convolution ahead of it."""
    for block in net.modules():
        if isinstance(block, BasicConv2d):
            block.conv = fuse_conv_bn_eval(block.conv, block.bn)
            block.bn = nn.Identity()
    return net
