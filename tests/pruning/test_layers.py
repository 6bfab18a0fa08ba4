"""Discovery of prunable layers."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from rggan_mm.pruning import SparseNetwork, list_layers
from rggan_mm.pruning.layers import output_channels


class Modulated(nn.Module):
    """Stores (1, out, in, k, k) like StyleGAN2's modulated convolution."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, 5, 4, 3, 3))


LAYERS = {
    'conv1d': (lambda: nn.Conv1d(4, 6, 3), 0, 6),
    'conv2d': (lambda: nn.Conv2d(4, 6, 3), 0, 6),
    'conv3d': (lambda: nn.Conv3d(4, 1, 3), 0, 1),
    'grouped': (lambda: nn.Conv2d(4, 6, 3, groups=2), 0, 6),
    'transposed': (lambda: nn.ConvTranspose2d(4, 6, 3), 1, 6),
    'transposed grouped': (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), 1, 6),
    'linear': (lambda: nn.Linear(4, 6), 0, 6),
    'bilinear': (lambda: nn.Bilinear(4, 3, 6), 0, 6),
    'old spectral norm': (lambda: spectral_norm(nn.Conv2d(4, 6, 3)), 0, 6),
    'new spectral norm': (lambda: parametrizations.spectral_norm(nn.Conv2d(4, 6, 3)), 0, 6),
    'modulated': (Modulated, 1, 5),
}

LEFT_OUT = {
    'embedding': (lambda: nn.Embedding(4, 6), 'embedding'),
    'bag': (lambda: nn.EmbeddingBag(4, 6), 'embedding'),
    'batch norm': (lambda: nn.BatchNorm2d(4), 'normalisation'),
    'layer norm': (lambda: nn.LayerNorm((4, 4)), 'normalisation'),
    'prelu': (lambda: nn.PReLU(4), 'weight of 1 dimension(s)'),
    'lazy': (lambda: nn.LazyLinear(4), 'lazy layer without weights yet'),
    'weight norm': (lambda: weight_norm(nn.Linear(4, 6)), 'several parameters'),
    'new weight norm': (
        lambda: parametrizations.weight_norm(nn.Linear(4, 6)),
        'several parameters',
    ),
}


@pytest.mark.parametrize('name', LAYERS)
def test_layer_is_prunable(name):
    build, out_dim, channels = LAYERS[name]
    (layer,) = list_layers(nn.Sequential(build()))
    assert layer.prunable
    assert layer.out_dim == out_dim
    assert output_channels(layer) == channels


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', LEFT_OUT)
def test_layer_is_left_out_with_a_reason(name):
    build, reason = LEFT_OUT[name]
    (layer,) = list_layers(nn.Sequential(build()))
    assert not layer.prunable
    assert reason in layer.reason


def test_module_without_weight_is_not_listed():
    assert list_layers(nn.Sequential(nn.ReLU(), nn.Flatten())) == []


def test_shared_layer_is_listed_and_pruned_once():
    shared = nn.Linear(4, 4)
    network = nn.Sequential(shared, nn.ReLU(), shared)
    assert [layer.name for layer in list_layers(network)] == ['0']
    SparseNetwork(network)
    network(torch.randn(2, 4)).sum().backward()
    assert shared.weight.grad is not None
