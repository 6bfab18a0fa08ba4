"""A run of a folder of images that changed in between."""

import numpy as np
import pytest
from example_configs import TINY
from families import family_runner
from PIL import Image
from tiny import ROOT

pytestmark = pytest.mark.slow

NAME = 'rg_dcgan_folder_64'


def write(folder, names, shape=(24, 20, 3)):
    folder.mkdir(exist_ok=True)
    draw = np.random.RandomState(0)
    for name in names:
        Image.fromarray(draw.randint(0, 256, shape).astype('u1')).save(folder / name)


def train(work_dir, folder, **changes):
    """Trains, and gives the warnings."""
    roots = {f'{name}_dataloader__dataset__data_root': str(folder) for name in ('train', 'val')}
    options = {'path': ROOT / 'configs' / f'{NAME}.py', **TINY.get(NAME, {}), **roots, **changes}
    options['train_cfg__val_interval'] = 2
    runner = family_runner('dcgan', work_dir, **options)
    told = []
    runner.logger.warning = lambda text, *_: told.append(text)
    runner.train()
    return [text for text in told if 'training images' in text]


@pytest.mark.parametrize('name', ['9.png', None])
def test_a_resume_says_what_changed(tmp_path, name):
    photos = tmp_path / 'photos'
    write(photos, [f'{index}.png' for index in range(8)])
    assert train(tmp_path / 'run', photos, train_cfg__max_iters=2) == []
    if name:
        write(photos, [name])
    told = train(tmp_path / 'run', photos, train_cfg__max_iters=4, resume=True)
    assert len(told) == (1 if name else 0)
    if name:
        assert '9 files, 8 when the run was saved: 1 new (such as 9.png), 0 missing' in told[0]
