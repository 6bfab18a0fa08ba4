"""Pruning whole channels: the method by hand, what is left, and what is saved."""

import copy

import pytest
import torch
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import RGGAN, SparseNetwork, fold
from rggan_mm.pruning.folding import masked_weights

LAM, LR, MIN_KEEP = 1e-8, 2e-2, 0.2
STEPS = 25


def images(seed):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(4, 2, 8, 8, generator=random, dtype=torch.float64)


def chain():
    torch.manual_seed(0)
    hidden = [nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Conv2d(5, 2, 1)).double()


def adam(parameters, lr=1e-2):
    return torch.optim.Adam(parameters, lr=lr, betas=(0.0, 0.9))


def sparse(network, granularity='channel', rate=1e-2, **settings):
    optimizer = adam(network.parameters(), rate)
    settings = {'lam': LAM, 'lr': LR, 'min_keep': MIN_KEEP, **settings}
    examples = {'g': (images(0),)}
    gan = RGGAN(
        {'g': network}, {'g': optimizer}, granularity=granularity, examples=examples, **settings
    )
    return gan, optimizer


def step(network, optimizer, seed):
    loss = (network(images(seed)) - images(seed)[:, :, 2:6, 2:6]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class ByHand:
    """The same network and step, written out: one threshold and one mask a channel."""

    def __init__(self):
        self.layers = chain()
        self.optimizer = adam(self.layers.parameters())
        self.thresholds = {0: torch.zeros(6).double(), 3: torch.zeros(5).double()}
        self.squares = {k: torch.zeros_like(t) for k, t in self.thresholds.items()}
        self.resets = {0: 0, 3: 0}
        self.taken = 0

    def masks(self):
        found = {}
        for k, threshold in self.thresholds.items():
            magnitude = self.layers[k].weight.detach().square().mean((1, 2, 3)).sqrt()
            found[k] = (magnitude > threshold).double()
            if found[k].mean() <= MIN_KEEP:
                threshold.zero_()
                self.resets[k] += 1
                found[k] = (magnitude > 0).double()
        first, second = found[0], found[3]
        return {
            0: first.view(-1, 1, 1, 1).expand(6, 2, 3, 3),
            3: second.view(-1, 1, 1, 1) * first.view(1, -1, 1, 1).expand(5, 6, 3, 3),
            5: second.view(1, -1, 1, 1).expand(2, 5, 1, 1),
        }

    def __call__(self, x):
        masks, layers = self.masks(), self.layers

        def convolve(k, value):
            return torch.conv2d(value, layers[k].weight * masks[k], layers[k].bias)

        hidden = layers[1](convolve(0, x)).relu()
        return convolve(5, convolve(3, hidden).relu()), masks

    def step(self, seed):
        made, masks = self(images(seed))
        loss = (made - images(seed)[:, :, 2:6, 2:6]).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        for k, mask in masks.items():
            self.layers[k].weight.grad *= mask
        self.optimizer.step()
        self.taken += 1
        for k, threshold in self.thresholds.items():
            gradient = -LAM * torch.exp(-threshold)
            self.squares[k] = 0.9 * self.squares[k] + 0.1 * gradient.square()
            size = (self.squares[k] / (1 - 0.9**self.taken)).sqrt()
            threshold -= LR * gradient / (size + 1e-8)


def test_the_method_by_hand():
    network, hand = chain(), ByHand()
    gan, optimizer = sparse(network)
    partly = set()
    for seed in range(STEPS):
        step(network, optimizer, seed)
        hand.step(seed)
        partly |= {float(layer.kept.mean()) for layer in gan.sparse_networks['g'].layers.values()}
    for k, threshold in hand.thresholds.items():
        torch.testing.assert_close(network[k].threshold.detach(), threshold, rtol=0, atol=1e-12)
    for name, value in hand.layers.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=0, atol=1e-12)
    assert len(partly) > 2  # channels were pruned on the way
    counts = gan.sparse_networks['g'].guard_counts()
    assert sum(hand.resets.values()) > 0
    assert {int(k): n for k, n in counts.items()} == {k: n for k, n in hand.resets.items() if n}


def pruned():
    """A network in eval mode that keeps half of each group's channels, and the channels."""
    network = chain()
    gan, _ = sparse(network, min_keep=None)
    for seed in range(4):
        network(images(seed))
    kept = []
    for k in (0, 3):
        magnitude = network[k].weight.detach().square().mean((1, 2, 3)).sqrt()
        network[k].threshold.data.fill_(magnitude.median())
        kept.append(magnitude > magnitude.median())
    return network.eval(), gan.sparse_networks['g'], kept


def test_masking_is_cutting():
    network, _, (first, second) = pruned()
    with torch.no_grad():
        masked = network(images(9))
        small = copy.deepcopy(network)
        SparseNetwork.of(small).detach()
        small[0].weight.data, small[0].bias.data = small[0].weight[first], small[0].bias[first]
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            getattr(small[1], name).data = getattr(small[1], name)[first]
        small[3].weight.data = small[3].weight[second][:, first]
        small[3].bias.data = small[3].bias[second]
        small[5].weight.data = small[5].weight[:, second]
        torch.testing.assert_close(small(images(9)), masked, rtol=0, atol=1e-12)


def test_folded_exported_copied_and_averaged_networks_compute_the_same():
    network, found, (first, second) = pruned()
    with torch.no_grad():
        masked = network(images(9))
    layer = {name: mask for name, (_, mask) in masked_weights(found).items()}
    assert torch.equal(layer['3'].any(dim=(1, 2, 3)), second)
    assert torch.equal(layer['3'].any(dim=(0, 2, 3)), first)
    program = torch.export.export(network, (images(9),)).module()
    folded = copy.deepcopy(network)
    fold([SparseNetwork.of(folded)])
    SparseNetwork.of(folded).detach()
    reloaded = chain().eval()
    sparse(reloaded)
    reloaded.load_state_dict(network.state_dict())
    for other in (program, folded, copy.deepcopy(network), reloaded.eval()):
        torch.testing.assert_close(other(images(9)), masked, rtol=0, atol=1e-12)


@pytest.mark.parametrize(('granularity', 'thresholds'), [('channel', 2), ('mixed', 3)])
def test_a_keep_ratio_is_reached(granularity, thresholds):
    network = chain()
    for k, width in ((0, 24), (3, 24)):
        network[k] = nn.Conv2d(network[k].in_channels if k == 0 else 24, width, 3).double()
    network[1], network[5] = nn.BatchNorm2d(24).double(), nn.Conv2d(24, 2, 1).double()
    settings = {'keep_ratio': 0.5, 'steps': 240, 'lam': None, 'min_keep': None}
    gan, optimizer = sparse(network, granularity, rate=1e-3, **settings)
    assert len(gan.sparse_networks['g'].thresholds) == thresholds
    found, kept = gan.sparse_networks['g'], []
    for seed in range(240):
        step(network, optimizer, seed)
        if seed % 20 == 19:
            gan.evaluated(200.0 - seed)
            kept.append(found.keep_ratio())
    assert kept[-1] == pytest.approx(0.5, abs=0.1)
    if granularity == 'channel':  # by even shares until step 180
        assert kept[5] == pytest.approx(1 - 0.5 * 120 / 180, abs=0.1)
    mask = found.layers['0'].mask.flatten(1)
    assert torch.equal(mask.all(1), mask.any(1))


@pytest.mark.parametrize('copied', [False, True])
def test_an_average_keeps_the_channels_that_its_network_keeps(copied):
    network, average = chain(), chain().eval()
    if copied:
        average = copy.deepcopy(network).eval()
    settings = {'lam': LAM, 'lr': 1.5e-2, 'min_keep': MIN_KEEP, 'examples': {'g': (images(0),)}}
    optimizer = adam(network.parameters(), 1e-2)
    gan = RGGAN(
        {'g': network}, {'g': optimizer}, averages={'g': average}, granularity='channel', **settings
    )
    for seed in range(21):
        step(network, optimizer, seed)
        with torch.no_grad():  # lags far behind; statistics of norms are copied
            for mean, value in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(value, 0.01)
            for mean, value in zip(average.buffers(), network.buffers(), strict=True):
                mean.copy_(value)
    network.eval()(images(0))
    own = masked_weights(gan.sparse_networks['g'])
    kept = {name: mask for name, (_, mask) in own.items()}
    assert not kept['0'].all()
    found = average(images(0))
    alone = chain().eval()
    sparse(alone)
    alone.load_state_dict(average.state_dict())
    torch.testing.assert_close(alone(images(0)), found, rtol=0, atol=1e-12)
    for other in (average, alone, copy.deepcopy(average)):
        masks = {name: mask for name, (_, mask) in masked_weights(SparseNetwork.of(other)).items()}
        assert all(torch.equal(mask, kept[name]) for name, mask in masks.items())
    gan.remove(fold=True)
    torch.testing.assert_close(average(images(0)), found, rtol=0, atol=1e-12)
    assert not average._forward_pre_hooks
    assert not average._state_dict_pre_hooks


def test_thresholds_of_weights_are_not_taken_for_those_of_channels():
    by_channel, by_weight = chain(), chain()
    sparse(by_channel, 'mixed')
    sparse(by_weight, 'weight')
    with pytest.raises(ConfigError, match='thresholds of channels'):
        by_weight.load_state_dict(by_channel.state_dict())
    with pytest.raises(ConfigError, match='thresholds of weights'):
        by_channel.load_state_dict(by_weight.state_dict())
    by_channel.load_state_dict(chain().state_dict())
