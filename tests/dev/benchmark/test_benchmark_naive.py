"""The naive reference computes what RG-GAN computes."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm
from torch.optim import Adam

from dev.benchmark.measures import OperationCounter
from dev.benchmark.naive import make_naive
from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer


def train(network, naive, min_keep, x):
    """Five steps; returns the end and how often the host waited in forwards."""
    sparse = SparseNetwork(network, min_keep=min_keep)
    if naive:
        make_naive(sparse)
    weights = [p for n, p in network.named_parameters() if not n.endswith('threshold')]
    optimizer = Adam(weights, lr=1e-3, betas=(0.0, 0.9))
    ThresholdOptimizer(sparse, 1.0, lr=0.02).follow(optimizer)
    waits = 0
    for _ in range(5):
        optimizer.zero_grad()
        with OperationCounter() as counter:
            loss = network(x).square().mean() + network(-x).square().mean()
        waits += counter.waits
        loss.backward()
        optimizer.step()
    return network.state_dict(), waits, sparse


NETWORKS = {
    'plain': lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 3, 3)),
    'spectral norm': lambda: nn.Sequential(spectral_norm(nn.Conv2d(3, 6, 3)), nn.ReLU()),
}


@pytest.mark.parametrize('min_keep', [None, 0.5])
@pytest.mark.parametrize('name', NETWORKS)
def test_it_trains_as_published_and_waits_for_each_check(name, min_keep):
    torch.manual_seed(0)
    network, x = NETWORKS[name](), torch.randn(4, 3, 8, 8)
    ours, waits, sparse = train(copy.deepcopy(network), False, min_keep, x)
    naive, naive_waits, _ = train(network, True, min_keep, x)
    for name, value in ours.items():
        assert torch.allclose(naive[name], value, atol=1e-5), name
    assert waits == 0
    layers = len(sparse.layers)
    assert naive_waits == (0 if min_keep is None else 10 * layers)
    assert sparse.keep_ratio() < 1
