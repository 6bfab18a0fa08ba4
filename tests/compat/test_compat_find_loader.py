"""MMEngine asks for compiled operators in a way that Python 3.14 no longer has."""

import pkgutil
from types import SimpleNamespace

import pytest
from mmengine.utils.dl_utils import misc, mmcv_full_available

from rggan_mm.compat import library_changes
from rggan_mm.compat import repair as engine

(REPAIR,) = (r for r in library_changes.REPAIRS if r.name == 'find-loader')


@pytest.fixture
def python_3_14(monkeypatch):
    without = {name: value for name, value in vars(pkgutil).items() if name != 'find_loader'}
    monkeypatch.setattr(misc, 'pkgutil', SimpleNamespace(**without))
    monkeypatch.setattr(library_changes, 'pkgutil', SimpleNamespace(**without))
    monkeypatch.setattr(engine, '_originals', {})
    yield
    engine.undo()


@pytest.mark.parametrize('compiled', [True, False])
def test_it_finds_whether_mmcv_has_operators(python_3_14, monkeypatch, compiled):
    with pytest.raises(AttributeError, match='find_loader'):
        mmcv_full_available()
    monkeypatch.setattr(library_changes, 'find_spec', {'mmcv._ext': compiled or None}.get)
    (outcome,) = engine.apply((REPAIR,))
    assert outcome.state == 'applied'
    assert mmcv_full_available() is compiled
