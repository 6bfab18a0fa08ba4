"""A wanted keep ratio: how far thresholds have to rise, and the lambda that takes them there."""

import copy
import re

import pytest
import torch
from kinds import NETWORKS, build
from torch import nn
from torch.nn.utils import spectral_norm
from torch.optim import Adam

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import KeepRatio, SparseNetwork, ThresholdOptimizer, threshold_after
from rggan_mm.pruning.keep_ratio import keep_ratio_after
from rggan_mm.pruning.strength import lam_or_keep_ratio

STEPS = 400


def small():
    """A network whose layers differ in size, and its optimiser."""
    torch.manual_seed(0)
    network = nn.Sequential(
        spectral_norm(nn.Linear(8, 32)), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 4)
    )
    return network, Adam(network.parameters(), lr=3e-4, betas=(0.0, 0.9))


def target(share, steps=STEPS, lr=2e-3, reach=0.75, mode='published', **settings):
    network, main = small()
    sparse = SparseNetwork(network, mode, min_keep=0.01)
    optimizer = ThresholdOptimizer(sparse, 0.0, lr=lr, **settings).follow(main)
    return KeepRatio(optimizer, share, steps, reach), main


def train(main, network, steps, start=0):
    for i in range(start, start + steps):
        random = torch.Generator().manual_seed(i)
        x = torch.randn(16, 8, generator=random)
        main.zero_grad()
        (network(x) - x[:, :4].sin()).square().mean().backward()
        main.step()


def train_on_noise(main, network, steps, start=0):
    """Weights that go to and fro, and cross 0 again and again, as those of a GAN."""
    main.param_groups[0]['lr'] = 3e-3
    for i in range(start, start + steps):
        random = torch.Generator().manual_seed(i)
        x, y = torch.randn(4, 8, generator=random), torch.randn(4, 4, generator=random)
        main.zero_grad()
        (network(x) - y).square().mean().backward()
        main.step()


def run(goal, main, dense=(), every=20, train=train):
    """A whole run with a correction after every so many steps; the keep ratios on the way."""
    sparse, seen = goal.optimizer.network, []
    goal.start(every)
    for start in range(0, goal.steps, every):
        sparse.set_phase(start not in dense)
        train(main, sparse.network, every, start)
        seen.append(sparse.keep_ratio())
        goal.correct(start + every, every)
    return seen


@pytest.mark.parametrize('share', [0.8, 0.5, 0.2])
def test_the_share_is_reached_in_time_and_held(share):
    """From above: what weights lose by moving below a threshold that rests is left room for."""
    seen = run(*target(share))
    after = seen[round(0.75 * len(seen)) :]
    assert all(share - 0.02 < ratio < share + 0.1 for ratio in after)
    assert seen[-1] == pytest.approx(share, abs=0.02)
    assert seen[2] > share + 0.1


@pytest.mark.parametrize('share', [0.8, 0.5, 0.2])
def test_beside_the_gradient_of_the_task_it_is_reached_as_well(share):
    """In 'ste', where a lambda that is set as if it were alone would be nothing."""
    seen = run(*target(share, mode='ste'))
    after = seen[round(0.75 * len(seen)) :]
    assert after == pytest.approx([share] * len(after), abs=0.1)
    assert seen[-1] == pytest.approx(share, abs=0.05)


def test_momentum_and_a_long_memory_do_not_matter():
    """Adam would go on with the gradients of the lambda before."""
    seen = run(*target(0.5, betas=(0.9, 0.999)))
    assert seen[-1] == pytest.approx(0.5, abs=0.02)


def test_dense_stretches_are_made_up_for():
    seen = run(*target(0.5), dense=range(40, 260, 20))
    assert set(seen[2:13]) == {1.0}
    assert seen[-1] == pytest.approx(0.5, abs=0.02)


def test_a_threshold_that_rests_may_not_catch_more_than_there_is_to_prune():
    """It catches for the whole run: it has to stay as low as that takes."""
    seen = run(*target(0.9, 1980), every=66, train=train_on_noise)
    assert seen[-1] == pytest.approx(0.9, abs=0.02)


def test_a_short_sparse_stretch_late_in_the_run_comes_close():
    """A phase rule gives one such stretch after another where dense training overfits."""
    late = range(600, 1120, 40)
    seen = run(*target(0.8, 1200), dense=late, every=40, train=train_on_noise)
    assert seen[-3:] == pytest.approx([1.0, 0.8, 0.8], abs=0.05)


def test_layers_that_the_guard_reset_are_made_up_for():
    goal, main = target(0.5)
    goal.start()
    train(main, goal.optimizer.network.network, 200)
    goal.optimizer.network.layers['2'].threshold.data.zero_()
    for start in range(200, 400, 20):
        goal.correct(start, 20)
        train(main, goal.optimizer.network.network, 20, start)
    assert goal.optimizer.network.keep_ratio() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize('name', NETWORKS)
def test_after_the_missing_rise_the_network_computes_with_the_share(name):
    network, x = build(name)
    for _ in range(200):  # brings spectral norms to rest
        network(x)
    sparse = SparseNetwork(network)
    goal = KeepRatio(ThresholdOptimizer(sparse, 0.0), 0.4, 100)
    for threshold in sparse.thresholds.values():
        threshold.data.uniform_(0, 0.1)
    rise = goal.missing_rise()
    for threshold in sparse.thresholds.values():
        threshold.data.add_(rise)
    network.eval()(x)
    one = 1.01 / sum(layer.info.stored.numel() for layer in sparse.layers.values())
    assert sparse.keep_ratio() == pytest.approx(0.4, abs=max(one, 0.01))


@pytest.mark.parametrize('name', NETWORKS)
def test_a_correction_leaves_the_network_as_it_was(name):
    network, x = build(name)
    sparse = SparseNetwork(network, min_keep=0.9)
    goal = KeepRatio(ThresholdOptimizer(sparse, 0.0), 0.4, 10**6)
    network(x).sum().backward()
    state = copy.deepcopy(network.state_dict())
    masks = [(layer.kept, layer.fired) for layer in sparse.layers.values()]
    goal.correct(0, 10)
    assert goal.optimizer.lam > 0
    assert sparse.sparse
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key])
    for layer, (kept, fired) in zip(sparse.layers.values(), masks, strict=True):
        assert layer.kept is kept
        assert layer.fired is fired


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_a_second_correction_at_the_same_place_changes_nothing(mode):
    goal, main = target(0.5, mode=mode)
    goal.start(20)
    for step in (0, 20):
        train(main, goal.optimizer.network.network, 20, step)
        goal.correct(step + 20, 20)
    lam = goal.optimizer.lam
    state = copy.deepcopy(goal.optimizer.adam.state_dict()['state'])
    goal.correct(40, 20)
    assert goal.optimizer.lam == lam > 0
    for index, memory in goal.optimizer.adam.state_dict()['state'].items():
        assert all(torch.equal(memory[key], state[index][key]) for key in memory)


def test_what_another_mode_saw_is_left_out():
    goal, main = target(0.5, mode='ste')
    goal.start(20)
    train(main, goal.optimizer.network.network, 20)
    goal.correct(20, 20)
    other, main = target(0.5)
    other.load_state_dict(goal.state_dict())
    train(main, other.optimizer.network.network, 20)
    other.correct(40, 20)
    assert other.optimizer.lam > 0


def test_where_the_share_is_left_already_thresholds_stay():
    goal, main = target(0.5)
    sparse = goal.optimizer.network
    for threshold in sparse.thresholds.values():
        threshold.data.fill_(1.0)
    sparse.min_keep = None
    goal.start()
    assert goal.optimizer.lam == 0
    train(main, sparse.network, 5)
    assert all(bool((t == 1).all()) for t in sparse.thresholds.values())


def test_layers_that_have_not_grown_yet_do_not_count():
    goal, _ = target(0.5)
    network = goal.optimizer.network.network
    with torch.no_grad():
        network[0].weight_orig.mul_(100)  # spectral norm takes that back
        network[4].weight.mul_(100)
    all_of_them = goal.missing_rise()
    network[2](network[0](torch.randn(2, 8)))
    assert goal.missing_rise() < all_of_them


def test_what_the_run_cannot_reach_is_refused_with_the_rate_that_does():
    goal, _ = target(0.2, lr=1e-4)
    with pytest.raises(ConfigError, match=r'keep_ratio=0\.2 is out of reach') as caught:
        goal.start()
    lr = float(re.search(r'raise lr to ([0-9.e-]+)', str(caught.value)).group(1))
    seen = run(*target(0.2, lr=lr))
    assert seen[-1] == pytest.approx(0.2, abs=0.05)


def test_behind_its_time_a_run_goes_as_fast_as_lr_allows():
    goal, main = target(0.2)
    goal.correct(goal.steps - 1, 1)
    train(main, goal.optimizer.network.network, 1)
    assert goal.optimizer.network.threshold_mean() == pytest.approx(2e-3, rel=0.02)


def test_share_that_a_lambda_leaves():
    goal, _ = target(0.5)
    optimizer = goal.optimizer
    optimizer.lam = 1e-9
    before = keep_ratio_after(optimizer, 200)
    for threshold in optimizer.network.thresholds.values():
        threshold.data.fill_(threshold_after(100, 1e-9, 2e-3))
    assert keep_ratio_after(optimizer, 100) == pytest.approx(before, abs=0.002)
    assert before < 0.97
    optimizer.lam = 0.0
    assert keep_ratio_after(optimizer, 200) > before


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((0.0,), 'keep_ratio=0.0 must be a number above 0 and below 1'),
        ((1,), 'keep_ratio=1 must be'),
        ((float('nan'),), 'keep_ratio=nan must be'),
        (('0.5',), "keep_ratio='0.5' must be"),
        ((0.5, 10, 0), 'reach=0 must be a number above 0 and at most 1'),
        ((0.5, 10, 1.5), 'reach=1.5 must be'),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    optimizer = target(0.5)[0].optimizer
    with pytest.raises(ConfigError, match=re.escape(message)):
        KeepRatio(optimizer, *{0: arguments[0], 1: 10, **dict(enumerate(arguments))}.values())


def test_lambda_or_keep_ratio():
    assert lam_or_keep_ratio(None, None) == (1e-12, None)
    assert lam_or_keep_ratio(1, None) == (1.0, None)
    assert lam_or_keep_ratio(None, {'g': 0.5}) == (None, {'g': 0.5})
    with pytest.raises(ConfigError, match=r'set lam=None or keep_ratio=None'):
        lam_or_keep_ratio(1e-9, 0.5)
    with pytest.raises(ConfigError, match=r'^keep_ratio\.g=2 must be'):
        lam_or_keep_ratio(None, {'g': 2})
