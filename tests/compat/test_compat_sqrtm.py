import numpy as np
import pytest
from mmagic.evaluation.metrics import fid
from scipy import linalg

from rggan_mm.compat import library_changes
from rggan_mm.compat import repair as engine

(REPAIR,) = (r for r in library_changes.REPAIRS if r.name == 'sqrtm-disp')


def _newer_sqrtm(A):
    """The square root as SciPy will have it: without ``disp``."""
    values, vectors = np.linalg.eig(A)
    return vectors @ np.diag(np.sqrt(values.astype(complex))) @ np.linalg.inv(vectors)


@pytest.fixture
def newer_scipy(monkeypatch):
    monkeypatch.setattr(linalg, 'sqrtm', _newer_sqrtm)
    monkeypatch.setattr(fid, 'linalg', linalg)
    monkeypatch.setattr(engine, '_originals', {})
    yield
    engine.undo()


def _statistics(seed):
    images = np.random.RandomState(seed).randn(50, 4)
    return images.mean(0), np.cov(images, rowvar=False)


def _distance():
    first, second = _statistics(0), _statistics(1)
    return fid.FrechetInceptionDistance._calc_fid(*first, *second)[0]


def _expected():
    (m1, c1), (m2, c2) = _statistics(0), _statistics(1)
    roots = np.sqrt(np.linalg.eigvals(c1 @ c2).astype(complex)).real
    return ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * roots.sum()


@pytest.mark.usefixtures('newer_scipy')
def test_without_the_repair_an_fid_fails():
    with pytest.raises(TypeError, match='disp'):
        _distance()


@pytest.mark.usefixtures('newer_scipy')
def test_with_it_the_fid_is_right():
    engine.apply([REPAIR])
    assert _distance() == pytest.approx(_expected())


@pytest.mark.usefixtures('newer_scipy')
def test_the_root_comes_with_its_error_when_it_is_asked_for():
    engine.apply([REPAIR])
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    root, error = fid.linalg.sqrtm(matrix, disp=False)
    assert np.allclose(root @ root, matrix)
    assert error < 1e-12
    assert np.array_equal(fid.linalg.sqrtm(matrix), root)
    assert fid.linalg.norm is linalg.norm
    assert linalg.sqrtm is _newer_sqrtm


def test_a_scipy_that_takes_disp_is_left_alone(monkeypatch):
    monkeypatch.setattr(linalg, 'sqrtm', lambda A, disp=True: A)
    assert not REPAIR.needed()
