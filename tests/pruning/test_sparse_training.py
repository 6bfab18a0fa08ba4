"""Static masks, Re-GAN and SDST, against ten steps of each that are written out here."""

import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork
from rggan_mm.pruning.drop_and_grow import DropAndGrow
from rggan_mm.pruning.mask_rules import StoredMask
from rggan_mm.pruning.quantile_masks import QuantileMasks
from rggan_mm.pruning.sparse_training import (
    balance_ratio,
    cosine,
    drop_and_grow,
    erk_shares,
    magnitude_masks,
    random_masks,
    set_masks,
    weight_sizes,
)
from rggan_mm.pruning.steps import StepFollower
from rggan_mm.pruning.strength import check_share

LR, STEPS = 0.05, 10
X = torch.randn(STEPS, 5, 6, generator=torch.Generator().manual_seed(1)).double()
NAMES = ('0', '2')


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def loss_of(parameters, x):
    """The loss of the network with these parameters, without its code."""
    hidden = (x @ parameters['0.weight'].T + parameters['0.bias']).clamp_min(0)
    return (hidden @ parameters['2.weight'].T + parameters['2.bias']).square().mean()


class ByHand:
    """Parameters, their gradients and Adam's second moments with betas (0, 0.9)."""

    def __init__(self):
        self.values = {k: v.detach().clone() for k, v in network().named_parameters()}
        self.squares = {name: torch.zeros_like(value) for name, value in self.values.items()}
        self.taken = 0

    def gradients(self, x, masks=None):
        """Gradients of what is multiplied with: of masked weights too."""
        used = {k: (v * masks[k] if masks else v) for k, v in self.values.items()}
        used = {name: value.clone().requires_grad_() for name, value in used.items()}
        found = torch.autograd.grad(loss_of(used, x), list(used.values()))
        return dict(zip(used, found, strict=True))

    def step(self, gradients, lr=LR):
        self.taken += 1
        for name, gradient in gradients.items():
            square = self.squares[name].mul_(0.9).add_(0.1 * gradient**2)
            root = (square / (1 - 0.9**self.taken)).sqrt() + 1e-8
            self.values[name] -= lr * gradient / root


def train(net, optimizer, each=lambda number: None):
    for number, x in enumerate(X):
        each(number)
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()


def adam(net):
    return Adam(net.parameters(), lr=LR, betas=(0.0, 0.9))


def assert_equal(net, by_hand, masks):
    sparse = SparseNetwork.of(net)
    for name in NAMES:
        assert torch.equal(sparse.layers[name].rule.tensor, masks[f'{name}.weight'])
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.detach(), by_hand.values[name], rtol=0, atol=1e-12)


def everything(by_hand):
    return {
        name: torch.ones_like(value, dtype=torch.bool) for name, value in by_hand.values.items()
    }


def test_static_masks_by_magnitude():
    net, by_hand = network(), ByHand()
    sparse, optimizer = SparseNetwork(net, rule=StoredMask), adam(net)
    set_masks(sparse, magnitude_masks(weight_sizes(sparse), 0.25))
    StepFollower(sparse).follow(optimizer)
    train(net, optimizer)
    masks = everything(by_hand)
    weights = torch.cat([by_hand.values[f'{name}.weight'].abs().flatten() for name in NAMES])
    smallest_kept = weights.sort(descending=True).values[18 - 1]  # of 72
    for name in NAMES:
        masks[f'{name}.weight'] = by_hand.values[f'{name}.weight'].abs() >= smallest_kept
    for x in X:
        gradients = by_hand.gradients(x, masks)
        by_hand.step({name: gradient * masks[name] for name, gradient in gradients.items()})
    assert sum(int(masks[f'{name}.weight'].sum()) for name in NAMES) == 18
    assert_equal(net, by_hand, masks)


@pytest.mark.parametrize(
    'make', [adam, lambda net: SGD(net.parameters(), 0.1, 0.9, weight_decay=1)]
)
def test_masked_weights_keep_their_values_under_any_optimiser(make):
    net = network()
    before = net[0].weight.detach().clone()
    sparse, optimizer = SparseNetwork(net, rule=StoredMask), make(net)
    set_masks(sparse, magnitude_masks(weight_sizes(sparse), 0.5))
    StepFollower(sparse).follow(optimizer)
    train(net, optimizer)
    mask = sparse.layers['0'].rule.tensor
    assert torch.equal(net[0].weight[~mask], before[~mask])
    assert (net[0].weight != before)[mask].any()


def test_drop_and_grow():
    net, by_hand = network(), ByHand()
    sparse, optimizer = SparseNetwork(net, rule=StoredMask), adam(net)
    follower = DropAndGrow(sparse, 0.5, every=3, drop=0.5, steps=STEPS)
    follower.start(seed=4)
    follower.follow(optimizer)
    masks = everything(by_hand)
    for name in NAMES:
        masks[f'{name}.weight'] = sparse.layers[name].rule.tensor.clone()
        by_hand.values[f'{name}.weight'] *= masks[f'{name}.weight']
    first = {name: mask.clone() for name, mask in masks.items()}
    train(net, optimizer)
    keys = [f'{name}.weight' for name in NAMES]
    for number, x in enumerate(X, start=1):
        dense = by_hand.gradients(x, masks)
        by_hand.step({name: gradient * masks[name] for name, gradient in dense.items()})
        if number % 3:
            continue
        share = 0.5 * (1 + math.cos(math.pi * number / STEPS)) / 2
        kept = [
            (float(by_hand.values[k].flatten()[i].abs()), k, int(i))
            for k in keys
            for i in masks[k].flatten().nonzero()
        ]
        count = round(share * len(kept))
        for _, key, i in sorted(kept)[:count]:
            masks[key].view(-1)[i] = False
        for key in keys:
            by_hand.values[key] *= masks[key]
        others = [
            (float(dense[k].flatten()[i].abs()), k, int(i))
            for k in keys
            for i in (~masks[k]).flatten().nonzero()
        ]
        for _, key, i in sorted(others)[::-1][:count]:
            masks[key].view(-1)[i] = True
    assert any(not torch.equal(masks[key], first[key]) for key in keys)
    assert_equal(net, by_hand, masks)
    assert sparse.keep_ratio() == 0.5


def test_a_partner_changes_at_its_next_step_and_a_density_is_followed():
    clock, partner = network(), network()
    optimizers, followers = [], []
    for net in (clock, partner):
        followers.append(DropAndGrow(SparseNetwork(net, rule=StoredMask), 0.5, steps=100))
        optimizers.append(adam(net))
        followers[-1].start(seed=0)
        followers[-1].follow(optimizers[-1])
    followers[0].every, followers[0].partners = 2, [followers[1]]
    followers[1].density = 0.75
    counts = []
    for number in range(4):
        for net, optimizer in zip((partner, clock), reversed(optimizers), strict=True):
            optimizer.zero_grad()
            net(X[number]).square().mean().backward()
            optimizer.step()
        layers = followers[1].network.layers.values()
        counts.append(sum(int(layer.rule.tensor.sum()) for layer in layers))
    assert counts == [36, 36, 54, 54]


def test_quantile_masks():
    net, by_hand = network(), ByHand()
    sparse, optimizer = SparseNetwork(net, rule=StoredMask), adam(net)
    follower = QuantileMasks(sparse, 0.3, dense_lr=0.1).follow(optimizer)
    # A warm-up of two steps, then four sparse ones in epochs of two, then four dense ones.
    stretches = ['warm'] * 2 + ['sparse'] * 4 + ['dense'] * 4

    def begin(number):
        if number in (0, 2, 4, 6):
            stretch = stretches[number]
            follower.begin_epoch(stretch == 'sparse', slow=stretch == 'dense')

    train(net, optimizer, begin)
    masks = everything(by_hand)
    regrown = None
    for number, x in enumerate(X):
        sparse_now = stretches[number] == 'sparse'
        gradients = by_hand.gradients(x)
        if number in (2, 4):
            masks = {
                k: v.abs() >= v.abs().flatten().quantile(0.3) for k, v in by_hand.values.items()
            }
        if sparse_now:
            for name in masks:
                by_hand.values[name] *= masks[name]
                gradients[name] *= masks[name]
        if number == 6:
            regrown = masks
            assert all((by_hand.values[name][~masks[name]] == 0).all() for name in masks)
        by_hand.step(gradients, LR / 10 if stretches[number] == 'dense' else LR)
    assert_equal(net, by_hand, everything(by_hand))
    assert not regrown['0.bias'].all()
    assert (net[0].weight[~regrown['0.weight']] != 0).any()
    assert optimizer.param_groups[0]['lr'] == LR
    assert not sparse.sparse


def test_quantile_masks_are_there_in_sparse_stretches():
    net = network()
    sparse, optimizer = SparseNetwork(net, rule=StoredMask), adam(net)
    follower = QuantileMasks(sparse, 0.3, dense_lr=0.1).follow(optimizer)
    follower.begin_epoch(True)
    train(net, optimizer)
    for mask in (sparse.layers['0'].rule.tensor, follower.others['0.bias']):
        assert int((~mask).sum()) == math.ceil(0.3 * (mask.numel() - 1))
    assert (net[0].bias[~follower.others['0.bias']] == 0).all()


def test_densities_of_erdos_renyi_kernel():
    shapes = {'a': torch.Size([2, 3]), 'b': torch.Size([40, 50]), 'c': torch.Size([20, 10, 3, 3])}
    shares = erk_shares(shapes, 0.2)
    assert shares['a'] == 1.0
    assert shares['b'] / shares['c'] == pytest.approx((90 / 2000) / (36 / 1800))
    kept = sum(shares[name] * shapes[name].numel() for name in shapes)
    assert kept == pytest.approx(0.2 * (6 + 2000 + 1800))
    assert erk_shares(shapes, 1.0) == pytest.approx(dict.fromkeys(shapes, 1.0))


def test_random_masks_keep_their_share_and_leave_the_stream_alone():
    state = torch.get_rng_state()
    shapes = {'a': torch.Size([4, 5]), 'b': torch.Size([10])}
    masks = random_masks(shapes, {'a': 0.25, 'b': 1.0}, seed=3)
    assert (int(masks['a'].sum()), int(masks['b'].sum())) == (5, 10)
    assert torch.equal(random_masks(shapes, {'a': 0.25, 'b': 1.0}, seed=3)['a'], masks['a'])
    assert torch.equal(torch.get_rng_state(), state)


def test_drop_and_grow_ranks_over_all_layers():
    weights = [torch.tensor([5.0, -1.0, 0.0]), torch.tensor([2.0, 0.0])]
    masks = [torch.tensor([True, True, False]), torch.tensor([True, False])]
    gradients = [torch.tensor([9.0, 0.0, -0.2]), torch.tensor([9.0, 0.3])]
    new = drop_and_grow(weights, masks, gradients, share=1 / 3)
    assert [mask.tolist() for mask in new] == [[True, False, False], [True, True]]
    assert [w.tolist() for w in weights] == [[5.0, 0.0, 0.0], [2.0, 0.0]]
    more = drop_and_grow(weights, new, gradients, share=0.0, change=1)
    assert [mask.tolist() for mask in more] == [[True, False, True], [True, True]]
    fewer = drop_and_grow(weights, more, gradients, share=0.0, change=-4)
    assert not any(mask.any() for mask in fewer)


def test_small_formulas():
    one, two, four = (torch.tensor(value) for value in (1.0, 2.0, 4.0))
    assert balance_ratio(one, two, four).item() == pytest.approx(1 / 3)
    assert [cosine(0.5, f) for f in (0, 0.5, 1, 2)] == pytest.approx([0.5, 0.25, 0, 0])
    for bad in (0, 1.5, True, 'x'):
        with pytest.raises(ConfigError, match='density'):
            check_share(bad, 'density', whole=True)
    assert check_share(1, 'density', whole=True) == 1.0
