"""Masking, phases, copies, state: on every kind of layer."""

import copy

import pytest
import torch
from kinds import NETWORKS, build, set_thresholds
from torch import nn
from torch.nn import functional

from rggan_mm.pruning import SparseNetwork, list_layers


def outputs_equal(network, other, x):
    return torch.equal(network.eval()(x), other.eval()(x))


@pytest.mark.parametrize('name', NETWORKS)
class TestEveryKindOfLayer:
    def test_zero_thresholds_change_nothing(self, name):
        network, x = build(name)
        plain = copy.deepcopy(network)
        SparseNetwork(network)
        assert outputs_equal(network, plain, x)

    def test_threshold_above_all_weights_leaves_the_bias_only(self, name):
        network, x = build(name)
        sparse = SparseNetwork(network, layers=[self._main_layer(network)])
        set_thresholds(sparse, 1e9)
        zero = network(torch.zeros_like(x))
        assert torch.equal(network(x), zero)
        assert sparse.keep_ratio() == 0

    def test_dense_phase_computes_with_all_weights(self, name):
        network, x = build(name)
        plain = copy.deepcopy(network)
        sparse = SparseNetwork(network)
        set_thresholds(sparse, 1e9)
        sparse.set_phase(False)
        assert outputs_equal(network, plain, x)
        assert sparse.keep_ratio() == 1

    def test_detach_restores_exactly(self, name):
        network, x = build(name)
        plain = copy.deepcopy(network)
        sparse = SparseNetwork(network)
        set_thresholds(sparse, 0.05)
        network.eval()(x)
        sparse.detach()
        assert list(network.state_dict()) == list(plain.state_dict())
        assert outputs_equal(network, plain, x)
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]
        assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in plain.modules()]
        assert SparseNetwork.of(network) is None
        SparseNetwork(network)

    def test_only_thresholds_and_the_phase_join_the_state(self, name):
        network, _ = build(name)
        before = list(network.state_dict())
        sparse = SparseNetwork(network)
        after = list(network.state_dict())
        new = [key for key in after if key not in before]
        assert [key for key in after if key not in new] == before
        assert new[:-1] == [f'{layer}.threshold' for layer in sparse.layers]
        assert new[-1] == 'sparse_phase'

    def test_stock_checkpoint_loads_strictly(self, name):
        network, x = build(name)
        plain = copy.deepcopy(network)
        torch.manual_seed(1)
        other = nn.Sequential(NETWORKS[name][0]()).double()
        SparseNetwork(other)
        other.load_state_dict(plain.state_dict(), strict=True)
        assert outputs_equal(other, plain, x)

    def test_deep_copy_is_independent(self, name):
        network, x = build(name)
        sparse = SparseNetwork(network)
        set_thresholds(sparse, 0.05)
        twin = copy.deepcopy(network)
        assert outputs_equal(network, twin, x)
        twin_sparse = SparseNetwork.of(twin)
        assert twin_sparse is not sparse
        twin_sparse.set_phase(False)
        set_thresholds(twin_sparse, 7.0)
        assert sparse.sparse
        assert sparse.threshold_mean() == pytest.approx(0.05)
        twin_sparse.detach()
        assert sparse.thresholds
        assert all(not key.endswith('threshold') for key in twin.state_dict())

    def test_gradient_reaches_kept_raw_weights_only(self, name):
        network, x = build(name)
        sparse = SparseNetwork(network)
        set_thresholds(sparse, 0.1)
        network.train()(x).square().sum().backward()
        sparse.mask_raw_gradients()
        for layer in sparse.layers.values():
            gradient = layer.info.stored.grad
            if gradient.shape == layer.mask.shape:
                assert (gradient[~layer.mask] == 0).all()
        assert all(t.grad is None for t in sparse.thresholds.values())

    def test_ste_sends_gradient_to_thresholds_and_pruned_weights(self, name):
        network, x = build(name)
        sparse = SparseNetwork(network, mode='ste')
        set_thresholds(sparse, 0.1)
        network.train()(x).square().sum().backward()
        for layer in sparse.layers.values():
            assert layer.threshold.grad.abs().sum() > 0
            assert torch.isfinite(layer.threshold.grad).all()
            assert torch.isfinite(layer.info.stored.grad).all()

    def test_weight_is_given_back_after_an_error(self, name):
        network, x = build(name)
        SparseNetwork(network)
        with pytest.raises((RuntimeError, ValueError, IndexError)):
            network(torch.zeros(1, 1, dtype=torch.float64))
        network.eval()(x)
        for module in network.modules():
            assert 'sn_weight' not in module.__dict__
            if isinstance(module._parameters.get('weight'), nn.Parameter):
                assert 'weight' not in module.__dict__

    @staticmethod
    def _main_layer(network):
        # The style's own layer of a modulated convolution feeds the other one.
        return next(layer for layer in list_layers(network) if layer.prunable)


def by_hand(layer, weight, x):
    """What a layer computes with a given weight, through torch's functions."""
    if isinstance(layer, nn.Linear):
        return functional.linear(x, weight, layer.bias)
    if isinstance(layer, nn.ConvTranspose2d):
        return functional.conv_transpose2d(x, weight, layer.bias)
    return functional.conv2d(x, weight, layer.bias)


@pytest.mark.parametrize('mode', ['published', 'ste'])
@pytest.mark.parametrize(
    'name',
    [
        'conv2d',
        'transposed',
        'linear',
        'old spectral norm',
        'new spectral norm',
        'SNConv2d',
        'SNLinear',
    ],
)
def test_layer_multiplies_with_the_masked_normalised_weight(name, mode):
    network, x = build(name)
    layer = network.eval()[0]
    network(x)
    normalised = (layer.sn_weight() if hasattr(layer, 'sn_weight') else layer.weight).detach()
    sparse = SparseNetwork(network, mode)
    thresholds = torch.rand(6, dtype=torch.float64) * normalised.abs().max()
    sparse.layers['0'].threshold.data.copy_(thresholds)
    shape = [1, 6, 1, 1] if name == 'transposed' else [6] + [1] * (normalised.ndim - 1)
    mask = normalised.abs() > thresholds.view(shape)
    assert torch.allclose(network(x), by_hand(layer, normalised * mask, x), atol=1e-12)
    assert torch.equal(sparse.layers['0'].mask, mask)
    assert sparse.keep_ratio() == pytest.approx(mask.double().mean().item())
    assert sparse.pruned_count() == (~mask).sum().item()
