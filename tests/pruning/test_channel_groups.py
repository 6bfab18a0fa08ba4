"""Which channels of a network can be cut, by where they go."""

import pytest
import torch
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import RGGAN
from rggan_mm.pruning.channel_groups import ChannelGroup, find_groups

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def conv(inputs, outputs, **kwargs):
    return nn.Conv2d(inputs, outputs, 3, padding=1, **kwargs)


def groups(*layers, images=IMAGES):
    network = nn.Sequential(*layers)
    return [
        (group.producer, group.consumer, group.between)
        for group in find_groups(network, lambda: network(images))
    ]


class Residual(nn.Module):
    """A block whose hidden channels alone can be cut, with a norm of one scale for each class."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.skip = conv(3, 6), conv(6, 4), conv(3, 4)
        self.norm, self.scale = nn.BatchNorm2d(6, affine=False), nn.Embedding(5, 6)
        self.last = conv(4, 2)

    def forward(self, x, label):
        hidden = self.norm(self.first(x)) * self.scale(label)[:, :, None, None]
        return self.last(self.second(hidden.relu()) + self.skip(x))


def test_hidden_channels_of_a_residual_block():
    network = Residual()
    found = find_groups(network, lambda: network(IMAGES, torch.tensor([0, 4])))
    assert found == [ChannelGroup('first', 'second', ('norm',), ('scale',))]


def test_a_plain_chain_of_transposed_convolutions():
    layers = [
        nn.ConvTranspose2d(3, 6, 4),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
    ]
    found = groups(*layers, nn.ConvTranspose2d(6, 5, 4), nn.PReLU(5), conv(5, 2))
    assert found == [('0', '4', ('1',)), ('4', '6', ('5',))]


@pytest.mark.parametrize(
    'between',
    [
        [nn.GroupNorm(2, 6)],
        [nn.Softmax(1)],
        [nn.ChannelShuffle(3)],
        [nn.PixelShuffle(1), nn.Unflatten(1, (3, 2)), nn.Flatten(1, 2), nn.LayerNorm([6, 8, 8])],
    ],
)
def test_channels_that_mix_or_change_places_stay(between):
    assert groups(conv(3, 6), *between, conv(6, 2)) == []


def test_layers_that_cannot_be_cut():
    shared = conv(6, 6)
    assert groups(conv(3, 6), conv(6, 6, groups=2), conv(6, 2)) == []
    assert groups(conv(3, 6), shared, shared, conv(6, 2)) == []
    assert groups(conv(3, 6), nn.Flatten(), nn.Linear(384, 2)) == []
    twin = conv(3, 6)
    twin.weight = nn.Parameter(torch.ones(6, 6, 3, 3))
    other = conv(6, 6)
    other.weight = twin.weight
    assert groups(conv(3, 6), other, nn.ReLU(), twin) == []


def test_the_search_leaves_the_network_as_it_was():
    network = nn.Sequential(conv(3, 6), nn.BatchNorm2d(6), nn.Dropout(), conv(6, 2))
    network[2].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert find_groups(network, lambda: network(IMAGES + torch.randn(1)))
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in network] == [True, True, False, True]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        ({'granularity': 'channels'}, "granularity='channels'"),
        ({'granularity': 'channel', 'mode': 'ste'}, "mode='published'"),
        ({'granularity': 'channel'}, "examples: .*'g'"),
        ({'granularity': {'d': 'channel'}}, "granularity: .*'d'"),
        ({'granularity': 'mixed', 'examples': {'g': [IMAGES]}, 'exclude': ['g.0']}, 'g has no ch'),
    ],
)
def test_bad_settings_are_refused(settings, named):
    with pytest.raises(ConfigError, match=named):
        RGGAN({'g': nn.Sequential(conv(3, 6), nn.ReLU(), conv(6, 2))}, **settings)
