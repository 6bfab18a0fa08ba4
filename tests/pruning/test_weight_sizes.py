"""Sizes of computing weights without a forward, and what a threshold leaves of them."""

import re

import pytest
import torch
from kinds import NETWORKS, build, set_thresholds
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, choose_layers
from rggan_mm.pruning.calibration import (
    collapsed_layers,
    kept_share,
    threshold_keeping,
    weight_sizes,
)


@pytest.mark.parametrize('share', [0.3, 0.8])
@pytest.mark.parametrize('name', NETWORKS)
def test_network_at_the_threshold_computes_with_that_share(name, share):
    network, x = build(name)
    sizes = weight_sizes(choose_layers(network))
    threshold = threshold_keeping(sizes, share)
    sparse = SparseNetwork(network)
    set_thresholds(sparse, threshold)
    network.eval()(x)
    # The weight that sets the threshold may fall to either side of it.
    one = 1.01 / sum(size.numel() for size in sizes)
    assert sparse.keep_ratio() == pytest.approx(share, abs=one)
    assert kept_share(sizes, threshold) == pytest.approx(share, abs=one)


@pytest.mark.parametrize('name', ['old spectral norm', 'new spectral norm', 'SNConv2d'])
def test_spectral_norm_is_at_rest(name):
    network, _ = build(name)
    sizes = weight_sizes(choose_layers(network))
    raw = choose_layers(network)[0].stored
    largest = torch.linalg.matrix_norm(raw.flatten(1), 2)
    assert torch.allclose(sizes[0], (raw / largest).abs().flatten(), rtol=0.02)


def test_collapsed_layers_are_those_that_the_guard_resets():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 20), nn.Linear(20, 10))
    with torch.no_grad():
        network[1].weight.mul_(0.01)
        # Keeps exactly one of its 200 weights.
        network[2].weight.mul_(0.01)[0, 0] = 1.0
    sizes = weight_sizes(choose_layers(network))
    counts = {limit: collapsed_layers(sizes, 0.1, limit) for limit in (0.0, 0.005, 0.01)}
    assert counts == {0.0: 1, 0.005: 2, 0.01: 2}
    for limit, count in counts.items():
        sparse = SparseNetwork(network, min_keep=limit)
        set_thresholds(sparse, 0.1)
        network(torch.randn(2, 20))
        assert len(sparse.guard_counts()) == count
        sparse.detach()


def test_share_of_more_weights_than_are_not_zero():
    sizes = [torch.tensor([0.0, 0.0, 1.0, 2.0])]
    assert threshold_keeping(sizes, 0.25) == 1
    with pytest.raises(ConfigError, match=re.escape('keep_ratio=0.75: only 50.0% of the weights')):
        threshold_keeping(sizes, 0.75)


@pytest.mark.parametrize('share', [0, 1, -0.5, 1.5, float('nan')])
def test_share_outside_of_its_range(share):
    with pytest.raises(ConfigError, match=f'keep_ratio={share} must be a number above 0 and'):
        threshold_keeping([torch.rand(4)], share)
