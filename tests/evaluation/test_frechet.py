import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rggan_mm.evaluation import frechet_distance

SEEDS = st.integers(0, 2**31)


def gaussian(dim, samples, seed):
    x = torch.randn(
        samples, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return x.mean(0) + seed % 3, torch.cov(x.T)


@given(st.integers(2, 12), SEEDS, SEEDS)
@settings(max_examples=30, deadline=None)
def test_agrees_with_pytorch_fid(dim, seed1, seed2):
    from pytorch_fid.fid_score import calculate_frechet_distance

    first, second = gaussian(dim, 10 * dim, seed1), gaussian(dim, 10 * dim, seed2)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # its sqrtm(disp=)
        theirs = calculate_frechet_distance(*(value.numpy() for value in (*first, *second)))
    assert frechet_distance(*first, *second) == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@given(st.integers(1, 12), st.integers(2, 30), SEEDS)
@settings(deadline=None)
def test_distance_to_itself_is_zero_also_when_singular(dim, samples, seed):
    mean, cov = gaussian(dim, samples, seed) if dim > 1 else (torch.ones(1), torch.ones(1, 1))
    assert frechet_distance(mean, cov, mean, cov) == pytest.approx(0, abs=1e-9)


@given(SEEDS, SEEDS)
@settings(deadline=None)
def test_symmetric_and_not_negative(seed1, seed2):
    first, second = gaussian(6, 4, seed1), gaussian(6, 4, seed2)
    there, back = frechet_distance(*first, *second), frechet_distance(*second, *first)
    assert there == pytest.approx(back, rel=1e-9, abs=1e-9)
    assert there > -1e-9


@given(st.lists(st.floats(0, 100), min_size=2, max_size=6))
@settings(deadline=None)
def test_singular_diagonals_have_the_closed_form(variances):
    first = torch.tensor(variances, dtype=torch.float64)
    second = first.flip(0)
    zero = torch.zeros_like(first)
    expected = (first.sqrt() - second.sqrt()).square().sum().item()
    found = frechet_distance(zero, first.diag(), zero, second.diag())
    assert found == pytest.approx(expected, abs=1e-5)


def test_rank_deficient_covariances_are_close_to_slightly_regular_ones():
    first, second = gaussian(30, 10, 1), gaussian(30, 12, 2)
    bump = 1e-9 * torch.eye(30, dtype=torch.float64)
    exact = frechet_distance(*first, *second)
    near = frechet_distance(first[0], first[1] + bump, second[0], second[1] + bump)
    assert np.isfinite(exact)
    assert near == pytest.approx(exact, abs=1e-2)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('index', range(4))
def test_not_finite_gives_nan(value, index):
    moments = [*gaussian(3, 9, 0), *gaussian(3, 9, 1)]
    moments[index] = moments[index].clone()
    moments[index].view(-1)[0] = value
    assert np.isnan(frechet_distance(*moments))
