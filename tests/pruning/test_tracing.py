"""Forwards that PyTorch traces, replicates or compiles."""

import copy

import pytest
import torch
from kinds import set_thresholds
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from rggan_mm.pruning import SparseNetwork

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def conv_net(wrap=lambda layer: layer):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)]
    return nn.Sequential(wrap(layers[0]), layers[1], wrap(layers[2])).eval()


def masked_net(**settings):
    network = conv_net()
    sparse = SparseNetwork(network, **settings)
    set_thresholds(sparse, 0.1)
    with torch.no_grad():
        return network, sparse, network(X)


@pytest.mark.parametrize('min_keep', [None, 0.01])
@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_an_exported_network_is_masked_and_the_network_usable_on(mode, min_keep):
    network, sparse, expected = masked_net(mode=mode, min_keep=min_keep)
    ratio, kept = sparse.keep_ratio(), sparse.layers['0'].kept
    exported = torch.export.export(network, (X,)).module()(X)
    assert torch.allclose(exported, expected, atol=1e-6)
    assert sparse.layers['0'].kept is kept
    assert sparse.keep_ratio() == ratio
    assert sparse.guard_counts() == {}
    assert torch.allclose(copy.deepcopy(network)(X), expected, atol=1e-6)


@pytest.mark.parametrize('min_keep', [None, 0.01])
def test_a_traced_network_is_masked(min_keep):
    network, sparse, expected = masked_net(min_keep=min_keep)
    kept = sparse.layers['0'].kept
    assert torch.allclose(torch.jit.trace(network, X, check_trace=False)(X), expected, atol=1e-6)
    assert sparse.layers['0'].kept is kept


@pytest.mark.parametrize('wrap', [lambda m: m, spectral_norm, parametrizations.spectral_norm])
def test_replicas_compute_masked(wrap):
    """Replicas as nn.DataParallel makes them, on one device."""
    network = conv_net(wrap)
    dense = network(X)
    sparse = SparseNetwork(network)
    set_thresholds(sparse, 0.1)
    expected = network(X)
    copies = {m: m._replicate_for_data_parallel() for m in network.modules()}
    for module, replica in copies.items():
        for name, child in module._modules.items():
            setattr(replica, name, copies[child])
        for name, value in [*module._parameters.items(), *module._buffers.items()]:
            setattr(replica, name, None if value is None else value * 1.0)
    assert not torch.allclose(dense, expected)
    assert torch.allclose(copies[network](X), expected, atol=1e-6)


@pytest.mark.parametrize('compile_it', [
    lambda network: torch.compile(network, backend='eager'),
    lambda network: network.compile(backend='eager') or network,
])  # fmt: skip
def test_thresholds_attached_after_a_compiled_call_count(compile_it):
    network = conv_net()
    compiled = compile_it(network)
    dense = compiled(X)
    sparse = SparseNetwork(network)
    set_thresholds(sparse, 0.1)
    assert torch.allclose(compiled(X), masked_net()[2], atol=1e-6)
    sparse.detach()
    assert torch.allclose(compiled(X), dense, atol=1e-6)
