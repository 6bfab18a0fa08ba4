"""A share of a folder that training leaves to the evaluation."""

import pytest
from mmengine.config import Config
from PIL import Image
from tiny import ROOT

from rggan_mm.commands.published_options import apply_options
from rggan_mm.datasets import ImageFiles
from rggan_mm.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    for index in range(10):
        Image.new('RGB', (4, 4), (index, 0, 0)).save(tmp_path / f'{index}.png')
    return tmp_path


def keys(folder, **arguments):
    data = ImageFiles(data_root=str(folder), data_prefix=dict(gt=''), **arguments)
    return [data.get_data_info(index)['key'] for index in range(len(data))], data.name


def test_two_parts_without_an_image_in_both(folder):
    everything, name = keys(folder)
    assert name == f'folder {folder.name} train'
    train, train_name = keys(folder, held_out=0.3)
    held, held_name = keys(folder, held_out=0.3, test_mode=True)
    assert (len(train), len(held)) == (7, 3)
    assert sorted(train + held) == everything
    assert train_name == f'folder {folder.name} train without 0.3'
    assert held_name == f'folder {folder.name} held out 0.3'
    assert keys(folder, held_out=0.3, test_mode=True)[0] == held


@pytest.mark.parametrize('share', [-0.1, 1.5, 'x', 0.01])
def test_bad_shares_are_refused(folder, share):
    with pytest.raises(ConfigError, match='held_out'):
        keys(folder, held_out=share)


def test_the_option_reaches_every_data_set_of_an_example():
    config = Config.fromfile(ROOT / 'configs' / 'rg_dcgan_folder_64.py')
    apply_options(config, {'held_out': 0.2})
    loaders = [config[f'{name}_dataloader'].dataset for name in ('train', 'val', 'test')]
    assert [loader.held_out for loader in loaders] == [0.2] * 3
    assert [loader.test_mode for loader in loaders] == [False, True, True]
    with pytest.raises(ConfigError, match='ImageFiles'):
        apply_options(
            Config.fromfile(ROOT / 'configs' / 'sngan_digits_10pct.py'), {'held_out': 0.2}
        )
