"""Masks of trained weights are made once between two updates, and are never out of date."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm
from torch.optim import SGD, Adam

from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer, masked_layer


@pytest.fixture
def made(monkeypatch):
    """Counts how often |W| was compared."""
    calls = []
    compare = masked_layer.exceeds

    def counting(*args, **kwargs):
        calls.append(args)
        return compare(*args, **kwargs)

    monkeypatch.setattr(masked_layer, 'exceeds', counting)
    return calls


def setup(layer=None, mode='published', min_keep=None, follow=True):
    torch.manual_seed(0)
    network = nn.Sequential(layer or nn.Linear(4, 8))
    optimizer = SGD(network.parameters(), lr=0.1)
    sparse = SparseNetwork(network, mode, min_keep)
    own = ThresholdOptimizer(sparse, 1e-3, lr=0.01)
    if follow:
        own.follow(optimizer)
    return network, sparse, optimizer, own


X = torch.ones(2, 4)


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_made_once_between_two_steps(made, mode):
    network, sparse, optimizer, _ = setup(mode=mode)
    with torch.no_grad():
        network(X)
    network(X).sum().backward()
    network(X)
    assert len(made) == 1
    optimizer.step()
    network(X)
    network(X)
    assert len(made) == 2
    stored = network[0].weight.abs() > sparse.layers['0'].threshold[:, None]
    assert torch.equal(sparse.layers['0'].mask, stored)


def spectral():
    torch.manual_seed(0)
    return spectral_norm(nn.Linear(4, 8))


@pytest.mark.parametrize('case', ['not followed', 'unfollowed', 'evaluation', 'spectral norm'])
def test_made_at_each_forward(made, case):
    layer = spectral() if case == 'spectral norm' else None
    network, _, _, own = setup(layer, follow=case != 'not followed')
    if case == 'unfollowed':
        own.unfollow()
    if case == 'evaluation':
        network.eval()
    network(X)
    network(X)
    assert len(made) == 2


def load(network, sparse):
    network.load_state_dict({k: v * 2 for k, v in network.state_dict().items()})


def write_in_place(network, sparse):
    with torch.no_grad():
        network[0].weight[0] = 0


def raise_thresholds(network, sparse):
    with torch.no_grad():
        sparse.layers['0'].threshold.fill_(0.3)


def lay_out_anew(network, sparse):
    network[0].weight.data = network[0].weight.data.flip(0)


def switch_phases(network, sparse):
    sparse.set_phase(False)
    network[0].weight.data.mul_(0.1)
    sparse.set_phase(True)


def swap_in_evaluation(network, sparse):
    """As MMEngine's EMAHook does, unseen by PyTorch's version counter."""
    network[0].weight.data.mul_(0.1)
    network.eval()


def guard(network, sparse):
    sparse.min_keep = 0.99


CHANGES = [
    load, write_in_place, raise_thresholds, lay_out_anew, switch_phases, swap_in_evaluation, guard,
]  # fmt: skip


@pytest.mark.parametrize('change', CHANGES)
def test_a_change_is_seen(change):
    network, sparse, _, _ = setup()
    with torch.no_grad():
        sparse.layers['0'].threshold.fill_(0.2)
    network(X)
    change(network, sparse)
    network(X)
    layer = sparse.layers['0']
    assert torch.equal(layer.mask, layer.info.stored.abs() > layer.threshold[:, None])


@pytest.mark.parametrize('min_keep', [None, 0.5])
@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_training_is_the_same_bit_for_bit(mode, min_keep):
    ends = []
    for steady in (True, False):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        optimizer = Adam(network.parameters(), lr=1e-2, betas=(0.0, 0.9))
        sparse = SparseNetwork(network, mode, min_keep)
        ThresholdOptimizer(sparse, 1.0, lr=2e-2).follow(optimizer)
        sparse.keep_masks(steady)
        for _ in range(20):
            optimizer.zero_grad()
            for _ in range(2):
                network(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
        ends.append(network.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert (ends[0]['0.threshold'] != 0).any()


def test_a_copy_looks_each_time(made):
    network, _, _, _ = setup()
    network(X)
    twin = copy.deepcopy(network)
    twin[0].weight.data.mul_(0.1)  # an average is updated so
    before = len(made)
    twin(X)
    twin(X)
    assert len(made) == before + 2
    assert SparseNetwork.of(network).layers['0'].steady


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_a_guard_that_acts_between_forward_and_backward(mode):
    """The gradient is that of the mask and thresholds of its own forward."""
    gradients = []
    for again in (False, True):
        network, sparse, _, _ = setup(spectral(), mode, min_keep=0.5)
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
