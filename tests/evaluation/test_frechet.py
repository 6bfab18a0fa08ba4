from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from rggan_mm.evaluation import frechet_distance

SEEDS = st.integers(0, 2**31)


def gaussian(dim, samples, seed):
    x = torch.randn(
        samples, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return x.mean(0) + seed % 3, torch.cov(x.T)


def pytorch_fid(*moments):
    from pytorch_fid import fid_score

    # It passes disp, which SciPy 1.18 took away.
    roots = SimpleNamespace(sqrtm=lambda matrix, disp: (linalg.sqrtm(matrix), None))
    with patch.object(fid_score, 'linalg', roots):
        return fid_score.calculate_frechet_distance(*(value.numpy() for value in moments))


@given(st.integers(2, 12), SEEDS, SEEDS)
@settings(max_examples=30, deadline=None)
def test_agrees_with_pytorch_fid(dim, seed1, seed2):
    moments = *gaussian(dim, 10 * dim, seed1), *gaussian(dim, 10 * dim, seed2)
    expected = pytest.approx(pytorch_fid(*moments), rel=1e-6, abs=1e-9)
    assert frechet_distance(*moments) == expected


def test_agrees_with_pytorch_fid_in_many_dimensions():
    moments = *gaussian(256, 1000, 1), *gaussian(256, 1000, 2)
    assert frechet_distance(*moments) == pytest.approx(pytorch_fid(*moments), rel=1e-6)


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


def scattered(kind, dim, samples, seed):
    """F with covariance F Fᵀ, shape (D, samples): its product is all that is rounded."""
    x = torch.randn(
        samples, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    if kind == 'twice':
        x[:, dim // 2 :] = x[:, : dim // 2]
    elif kind == 'almost twice':
        x[:, dim // 2 :] = x[:, : dim // 2] + 1e-6 * x[:, dim // 2 :]
    elif kind == 'dead':
        x[:, ::3] = 0
    elif kind == 'decaying':
        x *= torch.arange(1, dim + 1) ** -2.0
    return (x - x.mean(0)).T / (samples - 1) ** 0.5


@pytest.mark.parametrize('others', [100, 9])
@pytest.mark.parametrize('samples', [10, 23, 24, 25, 26, 48, 400])
@pytest.mark.parametrize('kind', ['normal', 'twice', 'almost twice', 'dead', 'decaying'])
def test_as_exact_as_its_input_however_singular(kind, samples, others):
    first, second = scattered(kind, 24, samples, 1), scattered(kind, 24, others, 2)
    cov1, cov2 = first @ first.T, second @ second.T
    zero = torch.zeros(24, dtype=torch.float64)
    traces = (cov1.trace() + cov2.trace()).item()
    exact = traces - 2 * torch.linalg.svdvals(first.T @ second).sum().item()
    # Rounding the covariance moves a standard deviation of 1e-6 more than any other.
    tolerance = 1e-7 if kind == 'almost twice' else 1e-9
    assert frechet_distance(zero, cov1, zero, cov2) == pytest.approx(exact, abs=tolerance * traces)
    assert frechet_distance(zero, cov2, zero, cov1) == pytest.approx(exact, abs=tolerance * traces)


@given(st.integers(2, 12), SEEDS, SEEDS)
@settings(deadline=None)
def test_the_fast_way_and_the_exact_way_agree(dim, seed1, seed2):
    moments = *gaussian(dim, 10 * dim, seed1), *gaussian(dim, 10 * dim, seed2)
    fast = frechet_distance(*moments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('rggan_mm.evaluation.frechet.TOLERANCE', -1)
        patch.setattr('rggan_mm.evaluation.frechet.SMALLEST_PIVOT', float('inf'))
        exact = frechet_distance(*moments)
    assert fast == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_constant_features_leave_the_distance_of_the_means():
    mean, zero = torch.ones(3), torch.zeros(3, 3)
    assert frechet_distance(mean, zero, 3 * mean, zero) == pytest.approx(12)
    assert frechet_distance(mean, zero, mean, torch.eye(3)) == pytest.approx(3)
    assert frechet_distance(mean, torch.eye(3), mean, zero) == pytest.approx(3)
