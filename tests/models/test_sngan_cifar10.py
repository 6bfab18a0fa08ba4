"""The networks of the CIFAR-10 configs are the published ones."""

import copy
import math
import re

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from reference import networks
from tiny import ROOT, tiny_runner
from torch import nn

from rggan_mm.pruning import SparseNetwork

DENSE, RG = (ROOT / 'configs' / f'{name}_cifar10_10pct.py' for name in ('sngan', 'rg_sngan'))
CHANNELS = 6
GENERATOR_NAMES = {
    r'noise2feat\.': 'linear.',
    r'conv_blocks\.(\d)\.norm_1\.norm\.': r'blocks.\1.residual.0.',
    r'conv_blocks\.(\d)\.conv_1\.conv\.': r'blocks.\1.residual.3.',
    r'conv_blocks\.(\d)\.norm_2\.norm\.': r'blocks.\1.residual.4.',
    r'conv_blocks\.(\d)\.conv_2\.conv\.': r'blocks.\1.residual.6.',
    r'conv_blocks\.(\d)\.shortcut\.conv\.': r'blocks.\1.shortcut.1.',
    r'to_rgb\.bn\.': 'output.0.',
    r'to_rgb\.conv\.': 'output.2.',
}
DISCRIMINATOR_NAMES = {
    r'from_rgb\.conv_1\.conv\.': 'model.0.residual.0.',
    r'from_rgb\.conv_2\.conv\.': 'model.0.residual.2.',
    r'from_rgb\.shortcut\.conv\.': 'model.0.shortcut.1.',
    r'conv_blocks\.(\d)\.conv_1\.conv\.': lambda m: f'model.{int(m[1]) + 1}.residual.1.',
    r'conv_blocks\.(\d)\.conv_2\.conv\.': lambda m: f'model.{int(m[1]) + 1}.residual.3.',
    r'conv_blocks\.(\d)\.shortcut\.conv\.': lambda m: f'model.{int(m[1]) + 1}.shortcut.0.',
    r'decision\.': 'linear.',
}


def build(path, name, **changes):
    return MODELS.build({**Config.fromfile(path).model[name], **changes})


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize('path', [DENSE, RG], ids=['dense', 'rg'])
@pytest.mark.parametrize(
    ('name', 'count', 'thresholds'),
    [('generator', 4_276_739, 6_403), ('discriminator', 1_053_824, 1_281)],
)
def test_as_many_parameters_and_thresholds_as_published(path, name, count, thresholds):
    network = build(path, name)
    assert parameters(network) == count
    SparseNetwork(network, 'published')
    assert parameters(network) == count + thresholds


def published_name(name, table):
    for pattern, replacement in table.items():
        renamed, found = re.subn(f'^{pattern}', replacement, name)
        if found:
            return renamed
    raise KeyError(name)


def copy_weights(ours, published, table):
    """Every entry of ours, from its counterpart; both have nothing else."""
    theirs = published.state_dict()
    state = {name: theirs.pop(published_name(name, table)) for name in ours.state_dict()}
    assert not theirs
    ours.double().load_state_dict(state)
    return ours


@pytest.fixture
def generators():
    torch.manual_seed(0)
    published = networks.Generator(z=128, channels=CHANNELS, blocks=3).double()
    for module in published.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    ours = build(DENSE, 'generator', base_channels=CHANNELS)
    return copy_weights(ours, published, GENERATOR_NAMES), published


@pytest.fixture
def discriminators():
    torch.manual_seed(1)
    published = networks.Discriminator(CHANNELS)
    # The recorded networks see 16x16; those for 32x32 have one more block.
    last = networks._discriminator_block(CHANNELS, down=False)
    published.model.insert(3, last)
    ours = build(DENSE, 'discriminator', base_channels=CHANNELS)
    return copy_weights(ours, published.double(), DISCRIMINATOR_NAMES), published


def test_generator_computes_what_the_published_one_does(generators):
    ours, published = generators
    for _ in range(3):  # training mode moves the running statistics
        noise = torch.randn(5, 128, dtype=torch.double)
        assert torch.allclose(ours(noise), published(noise), atol=1e-12)
    images = ours.eval()(noise)
    assert images.shape == (5, 3, 32, 32)
    assert torch.allclose(images, published.eval()(noise), atol=1e-12)


def test_discriminator_computes_what_the_published_one_does(discriminators):
    ours, published = discriminators
    for _ in range(3):  # training mode moves the estimates of the spectral norms
        images = torch.rand(5, 3, 32, 32, dtype=torch.double) * 2 - 1
        assert torch.allclose(ours(images), published(images), atol=1e-12)
    scores = ours.eval()(images)
    assert scores.shape == (5, 1)
    assert torch.allclose(scores, published.eval()(images), atol=1e-12)


class Start(Hook):
    """Weights and biases when training starts, after every initialisation."""

    priority = 'LOWEST'

    def before_train(self, runner):
        self.layers = {
            name: copy.deepcopy((getattr(module, 'weight_orig', module.weight), module.bias))
            for name, module in runner.model.named_modules()
            if isinstance(module, (nn.Conv2d, nn.Linear))
        }


def gain_of(weight):
    """Gain of Xavier's uniform initialisation, from the largest entry."""
    receptive = weight[0, 0].numel()
    fan_in, fan_out = weight.size(1) * receptive, weight.size(0) * receptive
    return weight.abs().max().item() / math.sqrt(6 / (fan_in + fan_out))


@pytest.mark.parametrize(('path', 'residual_gain'), [(DENSE, math.sqrt(2)), (RG, 1.0)])
def test_training_starts_from_the_published_initialisation(tmp_path, path, residual_gain):
    channels = {f'model.{name}.base_channels': 32 for name in ('generator', 'discriminator')}
    runner = tiny_runner(tmp_path, path, train_cfg__max_iters=1, **channels)
    start = Start()
    runner.register_hook(start)
    runner.train()
    networks_seen = set()
    for name, (weight, bias) in start.layers.items():
        residual = re.search(r'(conv_blocks\.\d|from_rgb)\.conv_[12]\.conv$', name)
        gain = residual_gain if residual else 1.0
        # The largest of n uniform numbers; the smallest layer has 32.
        assert 0.85 * gain < gain_of(weight) <= gain * (1 + 1e-6), name
        assert bias is None or not bias.any(), name
        networks_seen.add(name.partition('.')[0])
    assert networks_seen == {'generator', 'discriminator', 'generator_ema'}
