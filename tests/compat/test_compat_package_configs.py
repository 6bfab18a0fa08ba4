"""Configs of packages by name, dashes in their folders included."""

import pytest
from mmengine.config import Config
from mmengine.config import config as mmengine_config

from rggan_mm.compat.package_configs import _READERS, accept_dashes_in_folders

STOCK = 'mmagic::wgan-gp/wgangp_GN_1xb64-160kiters_celeba-cropped-128x128.py'


@pytest.fixture
def upstream(monkeypatch):
    """MMEngine's own function in its places."""
    repaired = mmengine_config._get_package_and_cfg_path
    for reader in _READERS:
        monkeypatch.setattr(reader, '_get_package_and_cfg_path', repaired.__wrapped__)


def mine(folder):
    path = folder / 'mine.py'
    path.write_text(f"_base_ = '{STOCK}'\n")
    return path


@pytest.mark.usefixtures('upstream')
def test_the_gap_and_its_repair(tmp_path):
    with pytest.raises(ValueError, match='_get_package_and_cfg_path'):
        Config.fromfile(mine(tmp_path))
    assert accept_dashes_in_folders().closed
    assert Config.fromfile(mine(tmp_path)).model.type == 'WGANGP'
    assert not accept_dashes_in_folders().closed


def test_other_mistakes_are_still_upstreams(tmp_path):
    for wrong in ('mmagic::', 'mmagic::a::b/c.py', 'mmagic::file.py'):
        with pytest.raises(ValueError, match=r'_get_package_and_cfg_path|`::`'):
            mmengine_config._get_package_and_cfg_path(wrong)
    with pytest.raises(AssertionError, match='does not support to load nowhere config'):
        mmengine_config._get_package_and_cfg_path('nowhere::a-b/c.py')


def test_the_path_that_needs_no_repair_is_the_same_config(tmp_path):
    path = tmp_path / 'around.py'
    path.write_text(f"_base_ = '{STOCK.replace('::', '::dcgan/../')}'\n")
    around, direct = Config.fromfile(path), Config.fromfile(mine(tmp_path))
    assert around.to_dict() == direct.to_dict()
