from importlib.util import find_spec

import pytest
from mmcv.utils import ext_loader
from mmengine.utils.dl_utils import mmcv_full_available

from rggan_mm.compat import compiled_ops, mmcv_required
from rggan_mm.errors import ConfigError

needs_lite = pytest.mark.skipif(
    find_spec('mmcv._ext') is not None, reason='the full mmcv is installed'
)


def test_no_mmcv_names_the_extra_to_install(monkeypatch):
    monkeypatch.setattr(mmcv_required, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'pip install -e \.\[lite\]') as caught:
        mmcv_required.require_mmcv()
    assert '\n' not in str(caught.value)


def test_some_mmcv_needs_nothing():
    assert not mmcv_required.require_mmcv().closed


@needs_lite
def test_stock_mmagic_fails_to_import_with_mmcv_lite(run_python):
    done = run_python('import mmcv.ops')
    assert done.returncode != 0
    assert "No module named 'mmcv._ext'" in done.stderr


@needs_lite
def test_the_models_import_and_lite_is_still_seen_as_lite():
    import mmagic.models

    assert mmagic.models.GGAN
    assert not mmcv_full_available()


@needs_lite
def test_a_missing_operator_fails_when_called_with_one_clear_line():
    ops = ext_loader.load_ext('_ext', ['upfirdn2d'])
    with pytest.raises(ConfigError, match=r"'upfirdn2d'.*\[full\]") as caught:
        ops.upfirdn2d(1, pad=2)
    assert '\n' not in str(caught.value)


def test_full_mmcv_keeps_its_loader(monkeypatch):
    before = ext_loader.load_ext
    monkeypatch.setattr(compiled_ops, 'find_spec', lambda name: object())
    assert not compiled_ops.allow_missing_ops().closed
    assert ext_loader.load_ext is before
