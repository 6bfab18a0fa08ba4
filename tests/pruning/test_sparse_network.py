"""Attaching, masking, phases, copies, state: on every kind of layer."""

import copy
import math
import re

import pytest
import torch
from mmagic.models.editors.biggan.biggan_snmodule import SNConv2d, SNLinear
from mmagic.models.editors.pggan.pggan_modules import EqualizedLRConvModule, EqualizedLRConvUpModule
from mmagic.models.editors.stylegan2.stylegan2_modules import ModulatedConv2d
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, list_layers


class WithStyle(nn.Module):
    """Feeds a modulated convolution a constant style."""

    def __init__(self):
        super().__init__()
        self.conv = ModulatedConv2d(4, 6, 3, style_channels=5)

    def forward(self, x):
        return self.conv(x, torch.ones(x.shape[0], 5, dtype=x.dtype))


NETWORKS = {
    'conv1d': (lambda: nn.Conv1d(4, 6, 3), (2, 4, 8)),
    'conv2d': (lambda: nn.Conv2d(4, 6, 3), (2, 4, 8, 8)),
    'conv3d': (lambda: nn.Conv3d(4, 6, 3), (2, 4, 4, 4, 4)),
    'transposed': (lambda: nn.ConvTranspose2d(4, 6, 3), (2, 4, 8, 8)),
    'transposed grouped': (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 4, 8, 8)),
    'linear': (lambda: nn.Linear(4, 6), (2, 4)),
    'old spectral norm': (lambda: spectral_norm(nn.Conv2d(4, 6, 3)), (2, 4, 8, 8)),
    'new spectral norm': (lambda: parametrizations.spectral_norm(nn.Conv2d(4, 6, 3)), (2, 4, 8, 8)),
    'equalised lr': (
        lambda: EqualizedLRConvModule(4, 6, 3, padding=1, act_cfg=None, norm_cfg=None),
        (2, 4, 8, 8),
    ),
    'fused upsampling': (
        lambda: EqualizedLRConvUpModule(
            4,
            6,
            3,
            conv_cfg=dict(type='deconv'),
            upsample=dict(type='fused_nn'),
            stride=2,
            padding=1,
            act_cfg=None,
            norm_cfg=None,
        ),
        (2, 4, 8, 8),
    ),
    'SNConv2d': (lambda: SNConv2d(4, 6, 3), (2, 4, 8, 8)),
    'SNLinear': (lambda: SNLinear(4, 6), (2, 4)),
    'modulated': (WithStyle, (2, 4, 8, 8)),
}


def build(name):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    return nn.Sequential(make()).double(), torch.randn(shape, dtype=torch.float64)


def outputs_equal(network, other, x):
    return torch.equal(network.eval()(x), other.eval()(x))


def set_thresholds(sparse, value):
    with torch.no_grad():
        for threshold in sparse.thresholds.values():
            threshold.fill_(value)


@pytest.mark.parametrize('name', NETWORKS)
class TestEveryKindOfLayer:
    def test_zero_thresholds_change_nothing(self, name):
        network, x = build(name)
        plain = copy.deepcopy(network)
        SparseNetwork(network)
        assert outputs_equal(network, plain, x)

    def test_threshold_above_all_weights_leaves_the_bias_only(self, name):
        network, x = build(name)
        sparse = SparseNetwork(network, include=[self._main_layer(network)])
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

    def test_only_thresholds_join_the_state(self, name):
        network, _ = build(name)
        before = list(network.state_dict())
        SparseNetwork(network)
        after = list(network.state_dict())
        assert [key for key in after if not key.endswith('.threshold')] == before
        assert len(after) > len(before)

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
        return next(layer.name for layer in list_layers(network) if layer.prunable)


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


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_collapse_guard_resets_in_the_same_forward():
    network = two_layers()
    sparse = SparseNetwork(network, min_keep=0.01)
    plain = copy.deepcopy(network)
    sparse.layers['0'].threshold.data.fill_(10)
    x = torch.randn(3, 4)
    assert torch.equal(network(x), plain(x))
    assert torch.equal(sparse.layers['0'].threshold, torch.zeros(8))
    assert sparse.guard_counts() == {'0': 1}


def test_without_guard_a_layer_stays_pruned():
    network = two_layers()
    sparse = SparseNetwork(network)
    set_thresholds(sparse, 10)
    network(torch.randn(3, 4))
    assert sparse.keep_ratio() == 0
    assert sparse.guard_counts() == {}


def test_regularizer_gradient_reaches_only_layers_that_computed():
    network = two_layers()
    sparse = SparseNetwork(network)
    network[0](torch.randn(3, 4))
    sparse.add_regularizer_gradient(0.5)
    assert torch.equal(sparse.layers['0'].threshold.grad, torch.full((8,), -0.5))
    assert sparse.layers['2'].threshold.grad is None


def test_second_order_gradient_is_that_of_the_hand_masked_network():
    network = two_layers().double()
    by_hand_network = copy.deepcopy(network)
    sparse = SparseNetwork(network)
    set_thresholds(sparse, 0.2)
    with torch.no_grad():
        for i in (0, 2):
            by_hand_network[i].weight.mul_(by_hand_network[i].weight.abs() > 0.2)
    gradients = []
    for net in (network, by_hand_network):
        x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        x.requires_grad_()
        (slope,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
        gradients.append(net[0].weight.grad)
    assert torch.allclose(gradients[0], gradients[1] * sparse.layers['0'].mask, atol=1e-12)


def test_half_precision_and_dtype_changes():
    network = two_layers()
    sparse = SparseNetwork(network)
    set_thresholds(sparse, 0.2)
    network.to(torch.bfloat16)
    output = network(torch.randn(3, 4, dtype=torch.bfloat16))
    assert output.dtype == sparse.layers['0'].threshold.dtype == torch.bfloat16
    assert 0 < sparse.keep_ratio() < 1
    network.half().float()
    assert network(torch.randn(3, 4)).dtype == torch.float32


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_autocast(mode):
    network = two_layers()
    sparse = SparseNetwork(network, mode)
    set_thresholds(sparse, 0.2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = network(torch.randn(3, 4))
    output.float().square().sum().backward()
    assert network[0].weight.grad.dtype == torch.float32
    assert torch.isfinite(network[0].weight.grad).all()


def test_round_trip_of_the_state():
    network = two_layers()
    set_thresholds(SparseNetwork(network), 0.2)
    other = two_layers()
    SparseNetwork(other)
    other.load_state_dict(network.state_dict())
    assert SparseNetwork.of(other).threshold_mean() == pytest.approx(0.2)


def test_include_and_exclude_choose_layers():
    assert list(SparseNetwork(two_layers(), include=['0']).layers) == ['0']
    assert list(SparseNetwork(two_layers(), exclude=['0']).layers) == ['2']


@pytest.mark.parametrize(
    ('make', 'arguments', 'message'),
    [
        (two_layers, {'mode': 'dst'}, "mode='dst'"),
        (two_layers, {'min_keep': 1.0}, 'min_keep=1.0'),
        (two_layers, {'min_keep': -0.1}, 'min_keep=-0.1'),
        (two_layers, {'min_keep': math.nan}, 'min_keep=nan'),
        (two_layers, {'exclude': ['conv*']}, "pattern 'conv*' matches no prunable layer"),
        (two_layers, {'exclude': ['*']}, 'nothing in it is prunable'),
        (lambda: nn.ReLU(), {}, 'nothing in it is prunable'),
    ],
)
def test_bad_arguments_are_refused(make, arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        SparseNetwork(make(), **arguments)


def test_attaching_twice_is_refused_also_from_outside():
    network = two_layers()
    SparseNetwork(network)
    for again in (network, nn.Sequential(network)):
        with pytest.raises(ConfigError, match='threshold already'):
            SparseNetwork(again)


def test_second_attachment_to_other_layers_is_refused():
    network = two_layers()
    SparseNetwork(network, include=['0'])
    with pytest.raises(ConfigError, match="layer '0' has a threshold already"):
        SparseNetwork(network, include=['2'])


def test_forward_cut_off_by_the_keyboard_leaves_nothing_behind():
    class Cut(nn.Linear):
        cut = False

        def forward(self, x):
            if self.cut:
                raise KeyboardInterrupt
            return super().forward(x)

    network = nn.Sequential(Cut(4, 8))
    SparseNetwork(network)
    network[0].cut = True
    x = torch.randn(2, 4)
    with pytest.raises(KeyboardInterrupt):
        network(x)
    network[0].cut = False
    network[0]._parameters['weight'].data.fill_(7)
    assert torch.allclose(network(x), x.sum(1, keepdim=True) * 7 + network[0].bias)


def test_attention_reads_its_output_weight_itself_and_is_left_dense():
    (layer,) = [
        item for item in list_layers(nn.MultiheadAttention(4, 2)) if 'out_proj' in item.name
    ]
    assert layer.reason == 'computed by its parent'


def test_parameter_shared_by_two_layers_keeps_what_either_keeps():
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    network[1].weight = network[0].weight
    sparse = SparseNetwork(network)
    with torch.no_grad():
        sparse.layers['0'].threshold.fill_(10.0)
    network(torch.randn(3, 4))
    network[0].weight.grad = torch.ones(4, 4)
    sparse.mask_raw_gradients()
    assert torch.equal(network[0].weight.grad, torch.ones(4, 4))


class CountingReads(TorchDispatchMode):
    """Counts what would make the host wait for the device."""

    reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.reads += str(func).startswith(('aten._local_scalar_dense', 'aten.nonzero'))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_a_step_reads_nothing_back_from_the_device(mode):
    network = two_layers()
    sparse = SparseNetwork(network, mode, min_keep=0.01)
    with CountingReads() as counter:
        network(torch.randn(3, 4)).sum().backward()
        sparse.add_regularizer_gradient(1e-3)
        sparse.mask_raw_gradients()
        sparse.end_step()
    assert counter.reads == 0
    with CountingReads() as counter:
        sparse.keep_ratio()
        assert torch.ones(2).sum().item() == 2
    assert counter.reads > 0
