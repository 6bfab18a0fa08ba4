"""Two processes that read other folders: a warning names the process and what differs."""

import pytest
import torch
from gloo_runs import needs_cpu, runner_of
from PIL import Image
from processes import run_together
from tiny import Records

pytestmark = [needs_cpu, pytest.mark.slow]
FOLDERS = {
    'alike': (['0.png', '1.png', 'a/2.png'], ['0.png', '1.png', 'a/2.png']),
    'another': (['0.png', '1.png', 'a/2.png'], ['0.png', '1.png', 'a/3.png']),
    'fewer': (['0.png', '1.png', 'a/2.png'], ['0.png', '1.png']),
}


def write(folder):
    """A folder of images for each case and process."""
    for case, parts in FOLDERS.items():
        for rank, names in enumerate(parts):
            for name in names:
                path = folder / case / str(rank) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new('RGB', (16, 16)).save(path)


def train_in_each(rank, folder):
    """One iteration a case; what was warned of."""
    pipeline = [dict(type='ReadImageFile', key='gt'), dict(type='PackInputs')]
    said = {}
    for case in FOLDERS:
        images = dict(
            _delete_=True,
            type='ImageFiles',
            data_root=str(folder / case / str(rank)),
            data_prefix=dict(gt=''),
            pipeline=pipeline,
        )
        changes = {
            'train_dataloader.dataset': images,
            'train_dataloader.batch_size': 2,
            'train_cfg.max_iters': 1,
        }
        runner = runner_of(folder / f'run_{case}_{rank}', rank, 2, **changes)
        records = Records(runner)
        runner.train()
        said[case] = records.having('training images are not the same')
    torch.save(said, folder / f'{rank}.pth')


@pytest.fixture(scope='module')
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp('names')
    write(folder)
    run_together(train_in_each, folder, world=2)
    return torch.load(folder / '0.pth')


def test_copies_of_a_folder_are_the_same_images(said):
    assert said['alike'] == []


@pytest.mark.parametrize(
    ('case', 'counts', 'change'),
    [
        ('another', '3 files, 3 in process 0', '1 new (such as a/3.png), 1 missing'),
        ('fewer', '2 files, 3 in process 0', '0 new, 1 missing'),
    ],
)
def test_the_process_with_other_files_is_named(said, case, counts, change):
    (text,) = said[case]
    assert f'in process 1 {counts}: {change}' in text
