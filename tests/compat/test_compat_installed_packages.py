from importlib.util import find_spec
from pathlib import Path

import mmagic
import mmcv
import pytest
from mmengine.config import Config

from rggan_mm.compat import installed_packages

needs_gap = pytest.mark.skipif(
    find_spec('pkg_resources') is not None, reason='pkg_resources is installed'
)


@needs_gap
def test_stock_mmengine_asks_pkg_resources(run_python):
    done = run_python("import mmengine; mmengine.utils.is_installed('mmagic')")
    assert "No module named 'pkg_resources'" in done.stderr


def test_a_config_may_inherit_from_an_installed_package(tmp_path):
    child = tmp_path / 'child.py'
    child.write_text("_base_ = ['mmagic::_base_/gen_default_runtime.py']\n")
    assert Config.fromfile(child).default_scope == 'mmagic'


def test_packages_are_found_by_module_and_by_distribution_name():
    assert installed_packages.is_installed('mmagic')
    assert installed_packages.is_installed('pytorch-fid')
    assert not installed_packages.is_installed('no_such_package')
    assert Path(installed_packages.get_installed_path('mmagic')) == Path(mmagic.__file__).parent


@pytest.mark.parametrize('name', ['mmcv-lite', 'mmcv'])
def test_the_folder_of_a_distribution_is_that_of_its_module(name):
    if not installed_packages.is_installed(name):
        pytest.skip(f'{name} is not installed')
    assert Path(installed_packages.get_installed_path(name)) == Path(mmcv.__file__).parent


def test_a_missing_package_has_no_folder():
    with pytest.raises(ModuleNotFoundError, match='no_such_package'):
        installed_packages.get_installed_path('no_such_package')


def test_nothing_is_replaced_where_pkg_resources_is(monkeypatch):
    monkeypatch.setattr(installed_packages, 'find_spec', lambda name: object())
    assert not installed_packages.replace_pkg_resources().closed
