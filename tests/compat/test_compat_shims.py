"""What lets MMagic be imported, and that nothing of it stays."""

import importlib
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from mmcv.utils import ext_loader
from mmengine.utils.dl_utils import mmcv_full_available

from rggan_mm.compat import shims
from rggan_mm.errors import ConfigError

needs_lite = pytest.mark.skipif(
    find_spec('mmcv._ext') is not None, reason='the full mmcv is installed'
)
NUMPY_2 = """
import numpy as np
def no_attribute(name):
    raise AttributeError(name)
np.__version__, np.__getattr__ = '2.4.6', no_attribute
vars(np).pop('bool8', None)
try:
    import mmagic.utils.trans_utils
except AttributeError as error:
    print(error)
from rggan_mm.compat import shims
print(shims.import_utils().state)
from mmagic.utils.trans_utils import dtype_range
print(dtype_range[np.bool_], 'bool8' in vars(np))
"""


def test_no_mmcv_names_the_extra_to_install(monkeypatch):
    monkeypatch.setattr(shims, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'pip install -e \.\[lite\]') as caught:
        shims.require_mmcv()
    assert '\n' not in str(caught.value)


def test_some_mmcv_needs_nothing():
    assert shims.require_mmcv().state == 'not needed'


@pytest.mark.slow
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
def test_an_extension_that_is_missing_is_missed_again_afterwards():
    with shims.missing_ops_allowed():
        ops = ext_loader.load_ext('_ext', ['upfirdn2d'])
    with pytest.raises(ConfigError, match=r"'upfirdn2d'.*\[full\]") as caught:
        ops.upfirdn2d(1, pad=2)
    assert '\n' not in str(caught.value)
    with pytest.raises(ModuleNotFoundError, match='_ext'):
        ext_loader.load_ext('_ext', ['upfirdn2d'])


def test_full_mmcv_is_left_alone(monkeypatch):
    monkeypatch.setattr(shims, 'find_spec', lambda name: object())
    monkeypatch.setattr(shims, 'import_module', None)
    assert shims.import_ops().state == 'not needed'


@pytest.mark.slow
def test_numpy_2_has_the_alias_only_while_mmagic_reads_it(run_python):
    done = run_python(NUMPY_2)
    assert done.stdout.splitlines() == ['bool8', 'applied', '(False, True) False'], done.stderr


def test_numpy_1_is_left_alone(monkeypatch):
    monkeypatch.setattr(np, '__version__', '1.26.4')
    monkeypatch.setattr(shims, 'import_module', None)
    assert shims.import_utils().state == 'not needed'


def test_an_alias_that_was_there_stays(monkeypatch):
    monkeypatch.setattr(np, 'bool8', alias := object(), raising=False)
    with shims.bool8_allowed():
        assert np.bool8 is alias
    assert np.bool8 is alias


def package(folder, monkeypatch, text):
    """A controlnet_aux of this text."""
    (folder / 'controlnet_aux.py').write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, 'controlnet_aux', raising=False)


def test_a_controlnet_aux_that_fails_is_stood_in_for_only_inside(tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, 'import sys\nsys.solutions\n')
    with shims.controlnet_aux_allowed():
        from controlnet_aux import HEDdetector
    with pytest.raises(ConfigError, match=r"controlnet_aux, .*has no attribute 'solutions'"):
        HEDdetector.from_pretrained('lllyasviel/ControlNet')
    with pytest.raises(AttributeError, match='solutions'):
        importlib.import_module('controlnet_aux')


def test_one_that_works_is_taken(tmp_path, monkeypatch):
    package(tmp_path, monkeypatch, 'HEDdetector = 7\n')
    with shims.controlnet_aux_allowed():
        from controlnet_aux import HEDdetector
    assert HEDdetector == 7
    assert importlib.import_module('controlnet_aux').HEDdetector == 7


@pytest.mark.slow
def test_mmagics_inference_api_imports_and_nothing_waits_afterwards(run_python):
    done = run_python(
        'import sys, rggan_mm.plugin\n'
        'from rggan_mm.compat.shims import _ApisFinder\n'
        'waits = _ApisFinder in sys.meta_path\n'
        'import mmagic.apis\n'
        'loader = type(mmagic.apis.__spec__.loader).__name__\n'
        "aux = getattr(sys.modules.get('controlnet_aux'), '__spec__', 'gone')\n"
        'print(waits, _ApisFinder in sys.meta_path, loader, aux is not None)'
    )
    assert done.stdout.split()[-4:] == ['True', 'False', 'SourceFileLoader', 'True'], done.stderr


def test_compat_itself_imports_neither_torch_nor_mmagic(run_python):
    done = run_python(
        'import sys, rggan_mm.compat.shims\n'
        "print([name for name in ('torch', 'mmengine', 'mmcv', 'mmagic') if name in sys.modules])"
    )
    assert done.stdout.strip() == '[]', done.stderr


slow = pytest.mark.slow
ROOMS = ['datasets', *(pytest.param(room, marks=slow) for room in ('models', 'evaluation'))]


@pytest.mark.slow
@pytest.mark.parametrize('room', ROOMS)
def test_every_room_can_be_imported_by_itself(room, run_python):
    done = run_python(f'import rggan_mm.{room}')
    assert done.returncode == 0, done.stderr
