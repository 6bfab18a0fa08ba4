"""A whole network: guard, regulariser, precision, choice of layers, refusals."""

import copy
import math
import pickle
import re

import pytest
import torch
from kinds import set_thresholds
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, attach_average, choose_layers, list_layers


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


@pytest.mark.parametrize('phase', [True, False])
def test_the_phase_travels_with_the_state_and_every_copy(phase, tmp_path):
    network = two_layers()
    sparse = SparseNetwork(network)
    set_thresholds(sparse, 0.2)
    sparse.set_phase(phase)
    x = torch.randn(3, 4)
    expected = network(x)
    other = two_layers()
    SparseNetwork(other).set_phase(not phase)
    other.load_state_dict(network.state_dict())
    torch.save(network, tmp_path / 'module.pth')
    copies = [
        other,
        copy.deepcopy(network),
        pickle.loads(pickle.dumps(network)),
        torch.load(tmp_path / 'module.pth', weights_only=False),
    ]
    for twin in copies:
        assert SparseNetwork.of(twin).sparse is phase
        assert torch.equal(twin(x), expected)
    assert network.state_dict()['sparse_phase'].item() == phase


def test_a_state_without_a_phase_leaves_the_phase_alone():
    network = two_layers()
    sparse = SparseNetwork(network)
    state = network.state_dict()
    del state['sparse_phase']
    sparse.set_phase(False)
    network.load_state_dict(state)
    assert not sparse.sparse


def test_a_phase_that_is_no_number_is_refused():
    network = two_layers()
    SparseNetwork(network)
    state = {**network.state_dict(), 'sparse_phase': torch.ones(2)}
    with pytest.raises(ConfigError, match=r'sparse_phase has shape \(2,\)'):
        network.load_state_dict(state)


def test_an_average_follows_phase_and_layers_of_its_source():
    network = two_layers()
    average = copy.deepcopy(network)
    sparse = SparseNetwork(network, min_keep=0.01, layers=choose_layers(network)[:1])
    sparse.set_phase(False)
    attached = attach_average(average, sparse)
    assert list(attached.layers) == ['0']
    assert (attached.sparse, attached.averaged, attached.min_keep) == (False, True, 0.01)
    assert not attached.layers['0'].threshold.requires_grad
    twin = copy.deepcopy(network)  # has thresholds already
    assert attach_average(twin, sparse) is SparseNetwork.of(twin)


def test_repr_says_phase_layers_and_keep_ratio():
    network = two_layers()
    sparse = SparseNetwork(network)
    assert repr(sparse) == 'SparseNetwork(Sequential, sparse phase, 2 layers, keep ratio 1.000)'


def test_only_given_layers_are_pruned():
    network = two_layers()
    assert list(SparseNetwork(network, layers=choose_layers(network, exclude=['0'])).layers) == [
        '2'
    ]


@pytest.mark.parametrize(
    ('make', 'arguments', 'message'),
    [
        (two_layers, {'mode': 'dst'}, "mode='dst'"),
        (two_layers, {'min_keep': 1.0}, 'min_keep=1.0'),
        (two_layers, {'min_keep': -0.1}, 'min_keep=-0.1'),
        (two_layers, {'min_keep': math.nan}, 'min_keep=nan'),
        (two_layers, {'layers': []}, 'nothing in it is prunable'),
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
    first, second = choose_layers(network)
    SparseNetwork(network, layers=[first])
    with pytest.raises(ConfigError, match="layer '0' has a threshold already"):
        SparseNetwork(network, layers=[second])


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
