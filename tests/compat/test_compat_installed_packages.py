from pathlib import Path

import mmagic
import mmcv
import pytest
from mmengine.config import Config

from rggan_mm.compat import installed_packages

# As setuptools 82 leaves it, whatever is installed here.
WITHOUT = "import sys; sys.modules['pkg_resources'] = None; "


def test_stock_mmengine_asks_pkg_resources(run_python):
    done = run_python(WITHOUT + "import mmengine; mmengine.utils.is_installed('mmagic')")
    assert 'ModuleNotFoundError: import of pkg_resources' in done.stderr
    assert not run_python(
        WITHOUT + 'import rggan_mm, mmengine; mmengine.utils.is_installed("mmagic")'
    ).stderr


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


@pytest.mark.parametrize(
    ('version', 'closed'), [('67.2.0', False), ('67.3.1', True), ('81.0.0', True)]
)
def test_nothing_is_replaced_where_pkg_resources_is_there_and_quiet(monkeypatch, version, closed):
    monkeypatch.setattr(installed_packages, 'find_spec', lambda name: object())
    monkeypatch.setattr(installed_packages.metadata, 'version', lambda name: version)
    assert installed_packages.replace_pkg_resources().closed == closed
