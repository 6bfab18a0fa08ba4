"""A stored mask, on every kind of layer: what it computes, where it travels, what it leaves."""

import copy

import pytest
import torch
from kinds import NETWORKS, build
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, attach_average, fold
from rggan_mm.pruning.layers import list_layers
from rggan_mm.pruning.magnitudes import magnitudes
from rggan_mm.pruning.mask_rules import StoredMask

KINDS = pytest.mark.parametrize('name', NETWORKS)


def stored(network, share=0.5, seed=0):
    """A network with a random mask in each layer."""
    sparse = SparseNetwork(network, rule=StoredMask)
    generator = torch.Generator().manual_seed(seed)
    for layer in sparse.layers.values():
        mask = layer.rule.tensor
        mask.copy_(torch.rand(mask.shape, generator=generator) < share)
    return sparse


@KINDS
class TestEveryKindOfLayer:
    def test_a_new_mask_keeps_everything(self, name):
        network, x = build(name)
        plain = copy.deepcopy(network).eval()
        sparse = SparseNetwork(network, rule=StoredMask)
        assert torch.equal(network.eval()(x), plain(x))
        assert sparse.keep_ratio() == 1

    def test_the_layer_multiplies_with_the_masked_weight(self, name):
        network, x = build(name)
        infos = [info for info in list_layers(network) if info.prunable]
        sizes = magnitudes(infos)
        sparse = stored(network)
        network(x)
        for layer, size in zip(sparse.layers.values(), sizes, strict=True):
            assert layer.mask.shape == size.shape
            assert torch.equal(layer.mask, layer.rule.tensor)
        kept = sum(int(layer.mask.sum()) for layer in sparse.layers.values())
        assert sparse.keep_ratio() == kept / sum(size.numel() for size in sizes)

    @torch.no_grad()
    def test_the_mask_travels_with_the_state_and_every_copy(self, name):
        network, x = build(name)
        sparse = stored(network)
        expected = network.eval()(x)
        other, _ = build(name)
        SparseNetwork(other, rule=StoredMask)
        state = network.state_dict()
        other.load_state_dict(state)
        assert torch.equal(other.eval()(x), expected)
        assert torch.equal(copy.deepcopy(network)(x), expected)
        masks = [state[f'{layer}.mask'] for layer in sparse.layers]
        assert all(mask.dtype == torch.int8 for mask in masks)

    def test_a_folded_network_computes_the_same_and_detach_leaves_no_trace(self, name):
        network, x = build(name)
        before = list(network.state_dict())
        network.eval()(x)
        sparse = stored(network)
        expected = network(x)
        try:
            fold([sparse])
        except ConfigError:
            assert name in ('fused upsampling', 'SNConv2d', 'SNLinear', 'modulated')
            return
        sparse.detach()
        assert list(network.state_dict()) == before
        assert torch.allclose(network(x), expected, rtol=1e-5, atol=1e-8)

    def test_gradients_reach_masked_weights_only_straight_through(self, name):
        for straight in (False, True):
            network, x = build(name)
            sparse = stored(network)
            for layer in sparse.layers.values():
                layer.rule.straight_through = straight
            network(x).square().sum().backward()
            plain = [n for n in sparse.layers.values() if n.info.parameter == 'weight']
            for layer in plain if name not in ('SNConv2d', 'SNLinear') else ():
                assert layer.info.stored.grad[~layer.mask].any() == straight
            sparse.mask_raw_gradients()
            for layer in sparse.layers.values():
                gradient = layer.info.stored.grad
                if gradient.shape == layer.mask.shape:
                    assert not gradient[~layer.mask].any()


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_straight_through_changes_no_output():
    network, x = linear(), torch.randn(3, 4)
    sparse = stored(network)
    expected = network(x)
    for layer in sparse.layers.values():
        layer.rule.straight_through = True
    assert torch.equal(network(x), expected)


def test_an_average_has_the_masks_of_its_source():
    network = linear()
    average = copy.deepcopy(network)
    sparse = stored(network)
    attached = attach_average(average, sparse)
    sparse.layers['0'].rule.tensor.fill_(False)
    average(torch.randn(3, 4))
    assert attached.counts()['0'] == (0, 32)
    assert not attached.thresholds


def test_a_dense_phase_computes_with_all_weights():
    network, x = linear(), torch.randn(3, 4)
    expected = network(x)
    sparse = stored(network)
    sparse.set_phase(False)
    assert torch.equal(network(x), expected)
    assert sparse.regularizer(1.0) == 0


def test_thresholds_after_a_stored_mask_are_refused():
    network = linear()
    stored(network)
    with pytest.raises(ConfigError, match="layer '0' has a mask already"):
        SparseNetwork(network)


def test_a_state_can_be_averaged_by_differences():
    """As MMagic's averaging hook does with all that is in a state dict."""
    network, average = linear(), linear()
    sparse = stored(network)
    SparseNetwork(average, rule=StoredMask)
    ours, theirs = network.state_dict(), average.state_dict()
    average.load_state_dict({name: b + (ours[name] - b) * 1.0 for name, b in theirs.items()})
    for name, layer in SparseNetwork.of(average).layers.items():
        assert torch.equal(layer.rule.tensor, sparse.layers[name].rule.tensor)
