"""tools/evaluate.py and ``python -m pytorch_fid`` give one number for two folders."""

import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image
from pytorch_fid.inception import FID_WEIGHTS_URL
from random_inception import random_inception_file, smooth_images
from tiny import ROOT


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ('real', 'fake')]
    for seed, folder in enumerate(folders):
        images = smooth_images(8, seed=seed).mul(255).round().byte().permute(0, 2, 3, 1)
        for index, image in enumerate(images.numpy()):
            Image.fromarray(image).save(folder / f'{index}.png')
    return folders


def last_numbers(arguments, **environment):
    """What a command prints, as name and value."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


@pytest.mark.slow
def test_one_number(folders, tmp_path_factory):
    weights = random_inception_file(tmp_path_factory)
    hub = tmp_path_factory.mktemp('torch') / 'hub' / 'checkpoints' / FID_WEIGHTS_URL.split('/')[-1]
    hub.parent.mkdir(parents=True)
    shutil.copy(weights, hub)
    theirs = last_numbers(
        ['-m', 'pytorch_fid', *folders, '--num-workers', 0], TORCH_HOME=str(hub.parents[2])
    )
    command = [ROOT / 'tools' / 'evaluate.py', *folders, '--like-pytorch-fid']
    ours = last_numbers([*command, '--weights', weights])
    assert float(ours['fid']) == pytest.approx(float(theirs['FID:']), rel=1e-4)
    assert (ours['n_real'], ours['n_fake'], ours['resize']) == ('8', '8', 'bilinear 299')
