"""Closed forms against torch's Adam; magnitudes without a forward; what a threshold keeps."""

import math
import re

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from kinds import NETWORKS, build, set_thresholds
from torch import nn
from torch.optim import Adam

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer, choose_layers
from rggan_mm.pruning.calibration import (
    collapsed_layers,
    keep_ratio_at,
    lam_for,
    steps_for,
    threshold_after,
    threshold_for_keep_ratio,
)
from rggan_mm.pruning.magnitudes import magnitudes

PUBLISHED = (0.0, 0.9)
MARKS = (10, 100, 1000, 5000, 20000)


def exponents(low, high):
    return st.floats(low, high).map(lambda x: 10**x)


def adam_thresholds(marks, lams, lr, eps=1e-8, betas=PUBLISHED, dtype=torch.float64, start=0.0):
    """Thresholds after each mark, one for each lambda, as Adam trains them."""
    lam_values = torch.tensor(lams, dtype=dtype)
    t = torch.full_like(lam_values, start).requires_grad_()
    adam = Adam([t], lr=lr, betas=betas, eps=eps)
    reached = {}
    for step in range(1, max(marks) + 1):
        t.grad = torch.exp(-t.detach()).mul_(-lam_values)
        adam.step()
        if step in marks:
            reached[step] = t.tolist()
    return reached


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize(
    'betas',
    [PUBLISHED, *(pytest.param(b, marks=pytest.mark.slow) for b in [(0.9, 0.999), (0.0, 0.99)])],
)
def test_long_training_ends_where_the_closed_form_says(betas, dtype):
    lams = [10.0**e for e in range(-14, 1)]
    reached = adam_thresholds(MARKS, lams, 2e-4, betas=betas, dtype=dtype)
    rounding = 0 if dtype == torch.float64 else max(MARKS) / 2**24
    for steps in MARKS:
        for lam, real in zip(lams, reached[steps], strict=True):
            expected = threshold_after(steps, lam)
            error = abs(real / expected - 1)
            assert error < expected / 2 + rounding, (steps, lam)
            if betas == PUBLISHED:
                assert error < 0.003 + rounding, (steps, lam)


@settings(max_examples=60)
@given(
    steps=st.integers(1, 150),
    lam=exponents(-16, 3),
    lr=exponents(-6, -1.3),
    eps=exponents(-12, -4),
    first=st.sampled_from([0.0, 0.5, 0.9]),
    second=st.sampled_from([0.9, 0.99, 0.999]),
)
def test_relative_error_is_below_half_of_the_threshold(steps, lam, lr, eps, first, second):
    real = adam_thresholds([steps], [lam], lr, eps, (first, second))[steps][0]
    expected = threshold_after(steps, lam, lr, eps)
    assert abs(real / expected - 1) <= expected / 2 + 1e-9


@given(st.integers(1, 10**6), exponents(-14, 0), exponents(-6, -2), exponents(-10, -6))
def test_lambda_and_threshold_are_inverse(steps, lam, lr, eps):
    threshold = threshold_after(steps, lam, lr, eps)
    if 0 < threshold < 0.9 * steps * lr:
        assert lam_for(threshold, steps, lr, eps) == pytest.approx(lam, rel=1e-6)


@given(exponents(-6, 0.5), exponents(-14, 0), exponents(-6, -2))
def test_steps_are_the_first_that_suffice(threshold, lam, lr):
    steps = steps_for(threshold, lam, lr)
    assert threshold_after(steps, lam, lr) >= threshold * (1 - 1e-9)
    if steps > 1:
        assert threshold_after(steps - 1, lam, lr) < threshold * (1 + 1e-9)


@given(st.integers(1, 10**6), exponents(-30, 18), exponents(-30, 18), exponents(-6, 0))
def test_more_lambda_is_never_slower_and_never_faster_than_lr(steps, one, other, lr):
    low, high = sorted(threshold_after(steps, lam, lr) for lam in sorted((one, other)))
    assert 0 < low <= high <= steps * lr
    assert threshold_after(steps, max(one, other), lr) == high


def test_without_lambda_nothing_moves():
    assert threshold_after(1000, 0.0) == 0


def test_network_in_training_reaches_the_wanted_threshold():
    torch.manual_seed(0)
    network = nn.Linear(4, 8)
    main = Adam(network.parameters(), lr=1e-3)
    sparse = SparseNetwork(network)
    lam = lam_for(0.05, 300, lr=1e-3)
    ThresholdOptimizer(sparse, lam, lr=1e-3).follow(main)
    for _ in range(300):
        network(torch.randn(2, 4)).square().sum().backward()
        main.step()
        main.zero_grad()
    assert sparse.threshold_mean() == pytest.approx(0.05, rel=0.025)


class TestFloat32:
    """The limits that the module's docstring states."""

    def reached(self, lam, eps=1e-8, start=0.0, dtype=torch.float32):
        return adam_thresholds([50], [lam], 2e-4, eps, dtype=dtype, start=start)[50][0]

    @pytest.mark.parametrize('lam', [1e-38, 1e-30, 1e-20, 1e-13, 1.0, 1e19])
    def test_gradient_and_its_square_are_good_enough(self, lam):
        assert self.reached(lam) == pytest.approx(threshold_after(50, lam), rel=6e-3)

    @pytest.mark.parametrize('lam', [1e-45, 1e20])
    def test_beyond_that_the_threshold_stands_still(self, lam):
        assert self.reached(lam) == 0
        assert self.reached(lam, dtype=torch.float64) > 0

    def test_squares_lost_to_underflow_show_only_beside_an_eps_as_small(self):
        assert self.reached(1e-22) == pytest.approx(threshold_after(50, 1e-22), rel=1e-3)
        assert self.reached(1e-23, 1e-23) > 1.5 * self.reached(1e-23, 1e-23, dtype=torch.float64)

    def test_step_below_half_of_the_last_digit_is_lost(self):
        assert self.reached(1e-13, start=0.0625) == 0.0625
        assert self.reached(1e-13, start=0.0625, dtype=torch.float64) > 0.0625

    def test_rounding_of_each_step_is_within_what_is_stated(self):
        """Some 2**19 steps in which t grew evenly have passed at the start."""
        lam = 0.05 / 2**19 / 2e-4 * 1e-8
        moved = self.reached(lam, start=0.05) - torch.tensor(0.05).item()
        exact = self.reached(lam, start=0.05, dtype=torch.float64) - 0.05
        assert 0 < abs(moved / exact - 1) < 2**19 / 2**24


def test_out_of_reach_says_what_is_in_reach_and_what_to_change():
    message = (
        'threshold=0.5 is out of reach: 1000 steps of lr=0.0002 stay below 0.2 whatever lam is; '
        'raise lr above 0.0005 or train more than 2500 steps'
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        lam_for(0.5, 1000)
    assert lam_for(0.5, 2501) > 0
    assert lam_for(0.5, 1000, lr=0.00051) > 0


@pytest.mark.parametrize(
    ('function', 'arguments', 'message'),
    [
        (threshold_after, (0, 1e-9), 'steps=0 must be a finite number above 0'),
        (threshold_after, (10, -1e-9), 'lam=-1e-09 must be a finite number >= 0'),
        (threshold_after, (10, 1e20), 'lam=1e+20 must be at most 1e19'),
        (threshold_after, (10, 1e-9, 0.0), 'lr=0.0 must be'),
        (threshold_after, (10, 1e-9, math.nan), 'lr=nan must be'),
        (threshold_after, (10, 1e-9, 2e-4, 0.0), 'eps=0.0 must be'),
        (lam_for, (0.0, 10), 'threshold=0.0 must be'),
        (
            lam_for,
            (101.0, 10**9),
            'threshold=101.0 must be a finite number above 0 and at most 100',
        ),
        (lam_for, (0.05, True), 'steps=True must be'),
        (lam_for, (0.05, '10'), "steps='10' must be"),
        (steps_for, (0.05, 0.0), 'lam=0.0 never moves a threshold'),
        (steps_for, (math.inf, 1e-9), 'threshold=inf must be'),
        (steps_for, (0.05, 1e-9, -1.0), 'lr=-1.0 must be'),
        (steps_for, (0.05, 1e-9, 1e-3, -1.0), 'eps=-1.0 must be'),
    ],
)
def test_numbers_out_of_range_are_refused(function, arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        function(*arguments)


@pytest.mark.parametrize('keep_ratio', [0.3, 0.8])
@pytest.mark.parametrize('name', NETWORKS)
def test_network_at_the_threshold_computes_with_that_keep_ratio(name, keep_ratio):
    network, x = build(name)
    for _ in range(200):  # brings spectral norms to rest
        network(x)
    weights = magnitudes(choose_layers(network))
    threshold = threshold_for_keep_ratio(weights, keep_ratio)
    sparse = SparseNetwork(network)
    set_thresholds(sparse, threshold)
    network.eval()(x)
    # The weights nearest to the threshold may fall to either side of it.
    few = 2.01 / sum(w.numel() for w in weights)
    assert sparse.keep_ratio() == pytest.approx(keep_ratio, abs=few)
    assert keep_ratio_at(weights, threshold) == pytest.approx(keep_ratio, abs=few)


@pytest.mark.parametrize('name', ['old spectral norm', 'new spectral norm', 'SNConv2d'])
def test_spectral_norm_is_at_rest(name):
    network, _ = build(name)
    weights = magnitudes(choose_layers(network))
    raw = choose_layers(network)[0].stored
    largest = torch.linalg.matrix_norm(raw.flatten(1), 2)
    assert torch.allclose(weights[0], (raw / largest).abs(), rtol=0.02)


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('training', [True, False])
def test_layers_are_left_as_they_were(name, training):
    network, _ = build(name)
    network.train(training)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    magnitudes(choose_layers(network))
    assert all(module.training == training for module in network.modules())
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


def test_collapsed_layers_are_those_that_the_guard_resets():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 20), nn.Linear(20, 10))
    with torch.no_grad():
        network[1].weight.mul_(0.01)
        # Keeps exactly one of its 200 weights.
        network[2].weight.mul_(0.01)[0, 0] = 1.0
    weights = magnitudes(choose_layers(network))
    counts = {limit: collapsed_layers(weights, 0.1, limit) for limit in (0.0, 0.005, 0.01)}
    assert counts == {0.0: 1, 0.005: 2, 0.01: 2}
    for limit, count in counts.items():
        sparse = SparseNetwork(network, min_keep=limit)
        set_thresholds(sparse, 0.1)
        network(torch.randn(2, 20))
        assert len(sparse.guard_counts()) == count
        sparse.detach()


def test_keep_ratio_of_more_weights_than_are_not_zero():
    weights = [torch.tensor([0.0, 0.0, 1.0, 2.0])]
    assert threshold_for_keep_ratio(weights, 0.25) == 1
    with pytest.raises(ConfigError, match=re.escape('keep_ratio=0.75: only 50.0% of the weights')):
        threshold_for_keep_ratio(weights, 0.75)


@pytest.mark.parametrize('keep_ratio', [0, 1, -0.5, 1.5, float('nan')])
def test_keep_ratio_outside_of_its_range(keep_ratio):
    with pytest.raises(ConfigError, match=f'keep_ratio={keep_ratio} must be a number above 0 and'):
        threshold_for_keep_ratio([torch.rand(4)], keep_ratio)
