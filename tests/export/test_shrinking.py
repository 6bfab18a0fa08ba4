"""Channels of MMagic's families are found, and cut without a change of images."""

import copy

import pytest
import torch
from families import family_config
from family_walk import family_params
from torch import nn

from rggan_mm.analysis.calling import Images
from rggan_mm.analysis.model_building import build_model
from rggan_mm.export.baking import bake
from rggan_mm.export.loading import networks_of
from rggan_mm.export.shrinking import Cut, shrink
from rggan_mm.export.shrunk import load_shrunk
from rggan_mm.hooks.channels import groups_of
from rggan_mm.pruning.layers import in_dim

# Layers that make channels, of the generator at the sizes of family_table.py.
BLOCKS = [f'conv_blocks.{i}.conv_1.conv' for i in range(3)]
GROUPS = {
    'dcgan': ['noise2feat.conv', 'upsampling.0.conv'],
    'wgan_gp': ['conv_blocks.0.conv', 'conv_blocks.2.conv', 'conv_blocks.3.conv'],
    'sngan_proj': BLOCKS,
    'sagan': [*BLOCKS[:2], 'conv_blocks.3.conv_1.conv'],
    'biggan_cifar10': [f'conv_blocks.{i}.conv1.conv' for i in range(3)],
    'biggan_ajbrock': [f'conv_blocks.{i}.conv1.conv' for i in range(3)],
    'cyclegan': [f'model.{i}.conv' for i in (0, 1, '3.block.0', 4, 5)],
    'pix2pix': ['.'.join(['model', *['model.1'] * 4, 'model.0.conv'])],
    'pggan': [],
    'stylegan1': [],
    'stylegan2': [],
    'stylegan3_t': [],
}
WITH_CHANNELS = [name for name, groups in GROUPS.items() if groups]
REPRESENTATIVE = ('dcgan', 'sagan')


def generator_of(name, folder):
    networks = networks_of(build_model(family_config(name, folder), initialize=True))
    return next(networks[n] for n in ('generator', 'generators.photo') if n in networks)


@torch.no_grad()
def settled(network, size=32):
    """Its images, of weights and norms that are not as they start."""
    images = Images(network, size=size)
    for parameter in network.parameters():
        parameter += 0.1 * torch.randn(parameter.shape)
    for seed in range(8):
        images.sample(8, seed)
    network.eval()
    return images


@torch.no_grad()
def silence_half(network, groups):
    for group in groups:
        reader = network.get_submodule(group.consumer)
        columns = reader.weight.transpose(0, in_dim(reader))
        columns[torch.randperm(len(columns))[: len(columns) // 2]] = 0


@pytest.mark.parametrize('name', family_params(GROUPS, (*REPRESENTATIVE, 'stylegan2')))
def test_channels_that_can_be_cut(tmp_path, name):
    network = generator_of(name, tmp_path)
    assert [group.producer for group in groups_of(network, network)] == GROUPS[name]


@pytest.mark.parametrize('name', family_params(WITH_CHANNELS, REPRESENTATIVE))
def test_a_smaller_network_makes_the_same_images(tmp_path, name):
    network = generator_of(name, tmp_path)
    stock = copy.deepcopy(network)
    images = settled(network)
    bake(network)
    silence_half(network, groups_of(network, network))
    wanted = images.sample(64)
    assert wanted.std() > 0.01
    sizes = [parameter.numel() for parameter in network.parameters()]
    cuts, _ = shrink(images)
    assert [cut.layer for cut in cuts] == GROUPS[name]
    assert all(cut.left == cut.channels - cut.channels // 2 for cut in cuts)
    assert sum(parameter.numel() for parameter in network.parameters()) < sum(sizes)
    loaded = Images(load_shrunk(stock, network.state_dict()).eval(), size=32)
    torch.testing.assert_close(loaded.sample(64), wanted, rtol=0, atol=1e-5)


class Chain(nn.Module):
    noise_size = 3

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, noise):
        return self.last(self.norm(self.first(noise)).relu())


def test_channels_without_effect_are_cut_whatever_is_left_of_their_weights():
    network = Chain().eval()
    network.first.weight.data[0] = 0  # its bias and norm still reach the reader
    network.last.weight.data[:, 2:] = 0
    cuts, difference = shrink(Images(network))
    assert cuts == [Cut('first', 'last', 4, 2)]
    assert (difference, network.last.in_features, network.norm.num_features) == (0, 2, 2)


def test_one_channel_stays():
    network = Chain().eval()
    network.last.weight.data.zero_()
    assert shrink(Images(network))[0] == [Cut('first', 'last', 4, 1)]


def test_weights_of_another_network_are_refused():
    with pytest.raises(RuntimeError, match='Missing key'):
        load_shrunk(Chain(), {'first.weight': torch.ones(4, 3)})
