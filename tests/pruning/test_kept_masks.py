"""A mask is that of its own forward, and what is kept of it serves whoever comes later."""

import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm
from torch.optim import SGD

from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer

X = torch.ones(2, 4)
MODES = ['published', 'ste']


def setup(make=nn.Linear, mode='published', min_keep=None):
    torch.manual_seed(0)
    network = nn.Sequential(make(4, 8))
    optimizer = SGD(network.parameters(), lr=0.1)
    sparse = SparseNetwork(network, mode, min_keep)
    ThresholdOptimizer(sparse, 1e-3, lr=0.01).follow(optimizer)
    return network, sparse, optimizer


def spectral(inputs, outputs):
    return spectral_norm(nn.Linear(inputs, outputs))


@pytest.mark.parametrize('mode', MODES)
def test_changes_that_pytorch_does_not_count_are_seen(mode):
    network, sparse, _ = setup(mode=mode)
    layer = sparse.layers['0']
    layer.threshold.data.fill_(0.2)
    network(X)
    network[0].weight.data.mul_(0.3)  # as averages and swaps are written
    network(X)
    assert torch.equal(layer.mask, network[0].weight.abs() > 0.2)


@pytest.mark.parametrize('mode', MODES)
def test_booleans_are_kept_where_no_gradient_needs_numbers(mode):
    network, sparse, optimizer = setup(mode=mode)
    network(X).sum().backward()
    numbers = sparse.layers['0']
    assert numbers.kept.dtype == torch.float32
    counted, mask = sparse.counts(), numbers.mask
    with torch.no_grad():
        network(X)
    assert sparse.layers['0'].kept.dtype == torch.bool
    assert sparse.counts() == counted
    assert torch.equal(sparse.layers['0'].mask, mask)
    optimizer.step()  # masks the raw gradient with what is kept now


@pytest.mark.parametrize('mode', MODES)
def test_images_drawn_in_inference_mode_leave_training_alone(mode):
    network, sparse, optimizer = setup(mode=mode, min_keep=0.5)
    with torch.no_grad():
        sparse.layers['0'].threshold.fill_(9.0)
    with torch.inference_mode():
        network(X)
    for _ in range(2):
        network(X).sum().backward()
        optimizer.step()
    assert sparse.guard_counts() == {'0': 1}


@pytest.mark.parametrize('mode', MODES)
def test_a_guard_that_acts_between_forward_and_backward(mode):
    """The gradient is that of the mask and thresholds of its own forward."""
    gradients = []
    for again in (False, True):
        network, sparse, _ = setup(spectral, mode, min_keep=0.5)
        with torch.no_grad():
            sparse.layers['0'].threshold.fill_(0.05)
        loss = network(X).square().sum()
        if again:
            with torch.no_grad():
                sparse.layers['0'].threshold.fill_(9.0)
            network.eval()(X)  # leaves the spectral norm as it is
            assert sparse.guard_counts() == {'0': 1}
        loss.backward()
        gradients.append(network[0].weight_orig.grad)
    assert torch.equal(*gradients)
    assert gradients[0].any()
