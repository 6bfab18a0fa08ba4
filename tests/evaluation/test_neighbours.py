import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.neighbours import precision_recall

SEEDS = st.integers(0, 2**31)


def features(count, dim=3, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator) + shift


def naive(real, fake, k):
    """Distance by distance, as the papers define the values."""
    real, fake = real.double().tolist(), fake.double().tolist()

    def radii(points):
        return [
            sorted(math.dist(x, y) for j, y in enumerate(points) if j != i)[k - 1]
            for i, x in enumerate(points)
        ]

    real_balls = list(zip(real, radii(real), strict=True))
    fake_balls = list(zip(fake, radii(fake), strict=True))
    inside = [[math.dist(x, y) <= r for x, r in real_balls] for y in fake]
    return {
        'precision': sum(map(any, inside)) / len(fake),
        'recall': sum(any(math.dist(x, y) <= r for y, r in fake_balls) for x in real) / len(real),
        'density': sum(map(sum, inside)) / len(fake) / k,
        'coverage': sum(map(any, zip(*inside, strict=True))) / len(real),
    }


@given(st.integers(2, 25), st.integers(2, 25), st.data(), SEEDS)
def test_equals_the_definitions_for_any_block(reals, fakes, data, seed):
    k = data.draw(st.integers(1, min(reals, fakes) - 1))
    block = data.draw(st.integers(1, 30))
    real, fake = features(reals, seed=seed), features(fakes, seed=seed + 1, shift=0.5)
    assert precision_recall(real, fake, k, block) == pytest.approx(naive(real, fake, k), rel=1e-12)


@given(st.integers(1, 9), st.floats(-1e4, 1e4), SEEDS)
def test_identical_sets(k, shift, seed):
    same = features(20, seed=seed, shift=shift)
    found = precision_recall(same, same.clone(), k)
    assert found['precision'] == found['recall'] == found['coverage'] == 1
    assert found['density'] >= 1 + 1 / k - 1e-9  # a ball holds its centre and k more


@given(SEEDS)
def test_order_does_not_matter(seed):
    real, fake = features(20, seed=1), features(30, seed=2, shift=0.5)
    generator = torch.Generator().manual_seed(seed)
    found = precision_recall(
        real[torch.randperm(20, generator=generator)], fake[torch.randperm(30, generator=generator)]
    )
    assert found == pytest.approx(precision_recall(real, fake), rel=1e-12)


def test_sets_far_apart_have_nothing_in_common():
    found = precision_recall(features(20), features(30, shift=100.0))
    assert found == dict(precision=0, recall=0, density=0, coverage=0)


def test_one_mode_of_two_is_precise_but_misses_half():
    modes = torch.cat([features(30), features(30, seed=1, shift=50.0)])
    found = precision_recall(modes, features(30).repeat(2, 1) + 1e-3)
    assert found['precision'] == 1
    assert found['recall'] == found['coverage'] == 0.5


@pytest.mark.parametrize('shift', [0.0, 1e3])
def test_copies_lie_in_balls_of_radius_zero(shift):
    points = features(12, dim=64, shift=shift)
    copies = points.repeat(6, 1)  # more copies than neighbours: every radius is 0
    found = precision_recall(copies, copies.flip(0))
    assert found == pytest.approx(dict(precision=1, recall=1, density=6 / 5, coverage=1))
    found = precision_recall(copies, copies + 1e-2)
    assert found == dict(precision=0, recall=0, density=0, coverage=0)


def test_all_alike_is_in_every_ball():
    found = precision_recall(torch.ones(10, 4), torch.ones(20, 4), neighbours=2)
    assert found == pytest.approx(dict(precision=1, recall=1, density=5, coverage=1))


def test_ties_at_the_border_count():
    grid = torch.arange(8, dtype=torch.float64)[:, None] / 3
    found = precision_recall(grid, grid + 1 / 3, neighbours=1)
    assert found == pytest.approx(dict(precision=1, recall=1, density=21 / 8, coverage=1))


def test_a_common_offset_does_not_matter():
    real, fake = features(40, dim=16).double(), features(50, dim=16, seed=1).double()
    expected = precision_recall(real, fake)
    assert precision_recall(real + 1e5, fake + 1e5) == expected


def test_float32_is_computed_in_double():
    real, fake = features(40, dim=16, shift=1e3), features(50, dim=16, seed=1, shift=1e3)
    assert precision_recall(real, fake) == precision_recall(real.double(), fake.double())


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('index', [0, 1])
def test_not_finite_gives_nan(value, index):
    sets = [features(10), features(10, seed=1)]
    sets[index][3, 1] = value
    found = precision_recall(*sets)
    assert set(found) == {'precision', 'recall', 'density', 'coverage'}
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize('neighbours', [0, 10, 11, 1.0])
@pytest.mark.parametrize('counts', [(10, 30), (30, 10)])
def test_bad_number_of_neighbours(neighbours, counts):
    with pytest.raises(ConfigError, match=rf'^neighbours .* but got {neighbours}$'):
        precision_recall(features(counts[0]), features(counts[1]), neighbours)
