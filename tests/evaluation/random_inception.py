"""Random weights for the FID Inception network, for tests without a download.

``python tests/evaluation/random_inception.py OUT.pth [--jit OUT.pt] [--seed N]`` writes a
file in the format of the published one (91 MiB) and, with --jit, the same network as a
TorchScript file with the interface of StyleGAN's, which MMagic's FID and IS load.
"""

import argparse
import warnings
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from rggan_mm.files import written_whole


def smooth_images(count, cells=4, size=32, seed=0):
    """Random images in [0, 1] of ``cells`` by ``cells`` blurred spots, shape (N, 3, size, size).

    They differ in brightness as photographs do.
    """
    generator = torch.Generator().manual_seed(seed)
    spots = torch.rand(count, 3, cells, cells, generator=generator)
    brightness = 0.2 + 0.8 * torch.rand(count, 1, 1, 1, generator=generator)
    return F.interpolate(spots * brightness, (size, size), mode='bilinear')


@lru_cache(maxsize=1)
def random_state_dict(seed=0):
    """Names and shapes of the published state dict, values from ``seed``.

    Batch norms get the statistics of a few images: convolutions drawn alone, without
    them, give all images nearly the same features.
    """
    images = torch.cat([smooth_images(2, cells, seed=cells) for cells in (2, 4, 16, 32)])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        # pytorch_fid changes what torchvision's blocks do, not what they hold.
        net = torchvision.models.inception_v3(
            weights=None, num_classes=1008, aux_logits=False, init_weights=False
        )
        for module in net.modules():
            _draw(module)
        net.train()(_normalised(images))
    return net.state_dict()


def _draw(module):
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
    elif isinstance(module, nn.BatchNorm2d):
        module.momentum = None  # running statistics are those of all images seen
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.1)
        nn.init.normal_(module.bias)


def _normalised(images):
    return F.interpolate(images, (299, 299), mode='bilinear', align_corners=False) * 2 - 1


class StyleGANInterface(nn.Module):
    """pytorch_fid's network behind the interface of StyleGAN's Inception file."""

    def __init__(self, blocks, fc):
        super().__init__()
        self.body = nn.Sequential(*blocks)
        self.fc = fc

    def forward(self, images, return_features: bool = False, no_output_bias: bool = False):
        """uint8 RGB (N, 3, H, W) to features (N, 2048) or class probabilities (N, 1008)."""
        images = F.interpolate(images.float(), [299, 299], mode='bilinear', align_corners=False)
        features = self.body(images / 127.5 - 1).flatten(1)
        if return_features:
            return features
        logits = F.linear(features, self.fc.weight) if no_output_bias else self.fc(features)
        return logits.softmax(1)


def pytorch_fid_net(state):
    """pytorch_fid's own network, as it is, with these weights."""
    import pytorch_fid.inception as module

    download = module.load_state_dict_from_url
    module.load_state_dict_from_url = lambda *args, **kwargs: state
    try:
        return module.InceptionV3().eval()
    finally:
        module.load_state_dict_from_url = download


def save_random_inception(path, seed=0):
    """Write :func:`random_state_dict` to a file; returns its path."""
    with written_whole(Path(path)) as temporary:
        torch.save(random_state_dict(seed), temporary)
    return Path(path)


def save_random_jit(path, seed=0):
    """Write :class:`StyleGANInterface` with the same weights as TorchScript."""
    state = random_state_dict(seed)
    fc = nn.Linear(2048, 1008)
    fc.load_state_dict({'weight': state['fc.weight'], 'bias': state['fc.bias']})
    net = StyleGANInterface(pytorch_fid_net(state).blocks, fc).eval()
    with warnings.catch_warnings(), written_whole(Path(path)) as temporary:
        warnings.simplefilter('ignore', FutureWarning)  # deprecated, but what MMagic loads
        warnings.simplefilter('ignore', DeprecationWarning)
        torch.jit.script(net).save(str(temporary))
    return Path(path)


def random_inception_file(tmp_path_factory):
    """For a session-scoped fixture: a file of random weights, made in about two seconds."""
    return save_random_inception(tmp_path_factory.mktemp('inception') / 'random.pth')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, help='state dict, .pth')
    parser.add_argument('--jit', type=Path, help='TorchScript file for MMagic, .pt')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    save_random_inception(args.out, args.seed)
    if args.jit:
        save_random_jit(args.jit, args.seed)


if __name__ == '__main__':
    main()
