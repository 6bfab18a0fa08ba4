import numpy as np
import pytest

from rggan_mm.compat.numpy_bool8 import restore_bool8


@pytest.fixture
def numpy_2(monkeypatch):
    """A NumPy that says it is 2 and has no bool8, whatever is installed."""
    monkeypatch.setattr(np, '__version__', '2.4.6')
    monkeypatch.setattr(np, '__getattr__', _no_attribute, raising=False)
    monkeypatch.delitem(vars(np), 'bool8', raising=False)
    yield
    vars(np).pop('bool8', None)


def _no_attribute(name):
    raise AttributeError(name)


@pytest.mark.usefixtures('numpy_2')
def test_numpy_2_gets_the_alias_that_it_lacks():
    assert not hasattr(np, 'bool8')
    assert restore_bool8().closed
    assert np.bool8 is np.bool_


def test_numpy_1_is_left_alone(monkeypatch):
    monkeypatch.setattr(np, '__version__', '1.26.4')
    before = vars(np).get('bool8')
    assert not restore_bool8().closed
    assert vars(np).get('bool8') is before
