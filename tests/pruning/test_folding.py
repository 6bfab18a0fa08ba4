"""Masks baked into weights, on every kind of layer."""

import pytest
import torch
from kinds import NETWORKS, build, set_thresholds

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, fold
from rggan_mm.pruning.folding import masked_weights
from rggan_mm.pruning.layers import computing_weight

# Their stored weight is another one than what they multiply with, or is scaled anew.
REFUSED = ('fused upsampling', 'SNConv2d', 'SNLinear')


def half_pruned(name):
    """A network in eval mode that keeps about half of its weights, an input, its sparse one."""
    network, x = build(name)
    network(x)
    sparse = SparseNetwork(network)
    network.eval()
    weights = [computing_weight(layer.info).abs() for layer in sparse.layers.values()]
    set_thresholds(sparse, torch.cat([w.flatten() for w in weights]).median())
    return network, x, sparse


@pytest.mark.parametrize('name', [name for name in NETWORKS if name not in REFUSED])
def test_a_folded_network_computes_masked_without_thresholds(name):
    network, x, sparse = half_pruned(name)
    masked = network(x)
    ratio = sparse.keep_ratio()
    assert 0 < ratio < 1
    fold([sparse])
    layers = [layer.info.stored for layer in sparse.layers.values()]
    kept = sum(int(torch.count_nonzero(weight)) for weight in layers)
    assert kept == round(ratio * sum(weight.numel() for weight in layers))
    sparse.detach()
    assert torch.allclose(network(x), masked, atol=1e-9)
    assert not network.training


@pytest.mark.parametrize('name', REFUSED)
def test_what_cannot_hold_the_zeros_is_refused_and_nothing_has_changed(name):
    plain, _ = build('linear')
    first = SparseNetwork(plain)
    set_thresholds(first, 0.1)
    network, _ = build(name)
    second = SparseNetwork(network)
    set_thresholds(second, 0.1)
    before = {k: v.clone() for net in (plain, network) for k, v in net.state_dict().items()}
    with pytest.raises(ConfigError, match='fold: 0'):
        fold([first, second])
    after = {k: v for net in (plain, network) for k, v in net.state_dict().items()}
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert second.sparse


def test_a_dense_phase_has_nothing_to_fold():
    network, _ = build('linear')
    sparse = SparseNetwork(network)
    set_thresholds(sparse, 0.1)
    sparse.set_phase(False)
    before = network[0].weight.clone()
    fold([sparse])
    assert torch.equal(network[0].weight, before)


def test_the_collapse_guard_counts_as_in_a_forward():
    network, x = build('linear')
    sparse = SparseNetwork(network, min_keep=0.5)
    set_thresholds(sparse, 10)  # prunes everything
    network.eval()
    weight, mask = masked_weights(sparse)['0']
    assert torch.equal(weight, network[0].weight)
    assert mask.all()
    fold([sparse])
    sparse.detach()
    folded = network(x)
    dense, _ = build('linear')
    assert torch.equal(folded, dense(x))


@pytest.mark.parametrize('name', list(NETWORKS))
def test_masked_weights_are_those_that_a_forward_multiplies_with(name):
    network, x, sparse = half_pruned(name)
    found = masked_weights(sparse)
    network(x)
    for layer, (weight, mask) in found.items():
        assert torch.equal(mask, sparse.layers[layer].mask)
        assert not weight[~mask].any()
        assert weight[mask].all()
