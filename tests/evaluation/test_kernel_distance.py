import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.kernel_distance import kernel_distance

SEEDS = st.integers(0, 2**31)


def features(count, dim=5, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator) + shift


def naive(real, fake):
    """Unbiased squared MMD, pair by pair."""
    real, fake = real.double().tolist(), fake.double().tolist()

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(points):
        pairs = [(x, y) for i, x in enumerate(points) for j, y in enumerate(points) if i != j]
        return np.mean([kernel(x, y) for x, y in pairs])

    return within(real) + within(fake) - 2 * np.mean([kernel(x, y) for x in real for y in fake])


@given(st.integers(2, 12), st.integers(1, 6), SEEDS)
def test_the_subset_of_all_gives_the_formula(count, dim, seed):
    real, fake = features(count, dim, seed), features(count, dim, seed + 1, shift=0.5)
    mean, std = kernel_distance(real, fake, subsets=3)
    assert mean == pytest.approx(naive(real, fake), rel=1e-9, abs=1e-9)
    assert std == pytest.approx(0, abs=1e-9)  # subsets differ in their order only


@given(SEEDS)
def test_order_does_not_matter_to_a_subset_of_all(seed):
    real, fake = features(20, seed=1), features(20, seed=2)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    expected = kernel_distance(real, fake, subsets=1)
    assert kernel_distance(real[order], fake, subsets=1) == pytest.approx(expected, abs=1e-12)


def test_subsets_have_the_size_of_the_smaller_set_and_no_image_twice():
    real, fake = features(8).double(), torch.zeros(2, 5)
    found = {kernel_distance(real, fake, subsets=1, seed=seed)[0] for seed in range(300)}
    # With zeros for fakes their kernels are 1; what remains is that of two different reals.
    kernels = (real @ real.T / 5 + 1) ** 3 - 1
    expected = {kernels[i, j].item() for i in range(8) for j in range(i)}
    assert {round(value, 9) for value in found} == {round(value, 9) for value in expected}


@given(SEEDS)
def test_close_to_zero_for_one_distribution_and_far_for_two(seed):
    real = features(200, seed=seed)
    mean, std = kernel_distance(real, features(300, seed=seed + 1), subsets=20, subset_size=100)
    assert abs(mean) < 0.3
    assert 0 < std < 0.3
    assert kernel_distance(real, features(300, shift=1.0), subsets=20, subset_size=100)[0] > 1


def test_unbiased_over_many_subsets():
    real = features(400, seed=3)
    mean, std = kernel_distance(real[:200], real[200:], subsets=400, subset_size=20)
    whole, _ = kernel_distance(real[:200], real[200:], subsets=1)
    assert abs(mean - whole) < 4 * std / 20


def test_identical_sets_are_not_above_zero():
    same = features(50)
    assert kernel_distance(same, same.clone(), subsets=2)[0] < 0


def test_mean_and_population_deviation_of_the_subsets():
    real, fake = features(30), features(40, seed=1)
    one = [kernel_distance(real, fake, subsets=n, subset_size=10)[0] * n for n in range(1, 6)]
    values = np.diff([0, *one])  # the first draws do not depend on how many follow
    expected = values.mean(), values.std()
    assert kernel_distance(real, fake, subsets=5, subset_size=10) == pytest.approx(expected)


def test_repeatable_and_apart_from_the_global_stream():
    real, fake = features(30), features(30, seed=1)
    before = torch.get_rng_state()
    found = [kernel_distance(real, fake, 3, 10, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    assert found[0] == found[1] != found[2]


def test_float32_is_computed_in_double():
    real, fake = features(30) + 100, features(30, seed=1) + 100
    found = kernel_distance(real, fake, subsets=1)[0]
    assert found == pytest.approx(kernel_distance(real.double(), fake.double(), subsets=1)[0])
    assert found == pytest.approx(naive(real, fake), rel=1e-6)


def test_nan_gives_nan():
    real = features(10)
    real[3, 1] = float('nan')
    assert all(math.isnan(value) for value in kernel_distance(real, features(10), subsets=2))


@pytest.mark.parametrize(
    ('counts', 'arguments', 'field'),
    [
        ((5, 5), dict(subsets=0), 'kid_subsets'),
        ((5, 5), dict(subset_size=1), 'kid_subset_size'),
        ((1, 5), {}, 'kid'),
        ((5, 1), {}, 'kid'),
    ],
)
def test_bad_input(counts, arguments, field):
    with pytest.raises(ConfigError, match=rf'^{field} .* but got'):
        kernel_distance(features(counts[0]), features(counts[1]), **arguments)
