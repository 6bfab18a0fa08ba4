import numpy as np
import pytest
from mmagic.evaluation.metrics import fid
from pytorch_fid import fid_score
from scipy import linalg

from rggan_mm.compat import sqrtm

USERS = (fid, fid_score)


def _newer_sqrtm(A):
    """The square root as SciPy will have it: without ``disp``."""
    values, vectors = np.linalg.eig(A)
    return vectors @ np.diag(np.sqrt(values.astype(complex))) @ np.linalg.inv(vectors)


@pytest.fixture
def newer_scipy(monkeypatch):
    monkeypatch.setattr(linalg, 'sqrtm', _newer_sqrtm)
    for user in USERS:
        monkeypatch.setattr(user, 'linalg', linalg)


def _statistics(seed):
    images = np.random.RandomState(seed).randn(50, 4)
    return images.mean(0), np.cov(images, rowvar=False)


def _distances():
    first, second = _statistics(0), _statistics(1)
    ours = fid_score.calculate_frechet_distance(*first, *second)
    return ours, fid.FrechetInceptionDistance._calc_fid(*first, *second)[0]


def _expected():
    (m1, c1), (m2, c2) = _statistics(0), _statistics(1)
    roots = np.sqrt(np.linalg.eigvals(c1 @ c2).astype(complex)).real
    return ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * roots.sum()


@pytest.mark.usefixtures('newer_scipy')
def test_without_the_repair_an_fid_fails():
    with pytest.raises(TypeError, match='disp'):
        _distances()


@pytest.mark.usefixtures('newer_scipy')
def test_with_it_the_fid_is_right():
    assert sqrtm.restore_disp().closed
    assert _distances() == pytest.approx([_expected()] * 2)


@pytest.mark.usefixtures('newer_scipy')
def test_the_root_comes_with_its_error_when_it_is_asked_for():
    sqrtm.restore_disp()
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    root, error = fid.linalg.sqrtm(matrix, disp=False)
    assert np.allclose(root @ root, matrix)
    assert error < 1e-12
    assert np.array_equal(fid.linalg.sqrtm(matrix), root)
    assert fid.linalg.norm is linalg.norm
    assert linalg.sqrtm is _newer_sqrtm


def test_a_scipy_that_takes_disp_is_left_alone(monkeypatch):
    monkeypatch.setattr(linalg, 'sqrtm', lambda A, disp=True: A)
    before = [user.linalg for user in USERS]
    assert not sqrtm.restore_disp().closed
    assert [user.linalg for user in USERS] == before
