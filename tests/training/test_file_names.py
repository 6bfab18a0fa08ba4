"""Names of a data set's files, kept in checkpoints."""

import numpy as np
import pytest
import torch
from mmagic.datasets import BasicImageDataset
from mmengine.dataset import RepeatDataset
from PIL import Image

from rggan_mm.datasets import Digits
from rggan_mm.training.file_names import MOST, FileNames, now_elsewhere


def folder(path, names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (4, 4)).save(path / name)
    return BasicImageDataset(data_root=str(path), data_prefix=dict(gt=''), recursive=True)


def kept(dataset):
    return FileNames.of_state(FileNames.of(dataset).state_dict())


def test_a_copy_of_a_folder_has_the_same_names(tmp_path):
    class Ordered(BasicImageDataset):
        def load_data_list(self):
            return sorted(super().load_data_list(), key=lambda info: info['gt_path'])

    folder(tmp_path / 'a', ['0.png', 'b/1.png'])
    folder(tmp_path / 'c' / 'd', ['0.png', 'b/1.png'])
    one, other = (
        Ordered(data_root=str(tmp_path / name), data_prefix=dict(gt=''), recursive=True)
        for name in ('a', 'c/d')
    )
    assert FileNames.of(one).changes(kept(other), 'then') == ''
    assert sorted(FileNames.of(one).names) == ['0.png', 'b/1.png']
    assert FileNames.of(RepeatDataset(one, 3)).changes(kept(one), 'then') == ''


def test_what_has_changed_is_said(tmp_path):
    before = kept(folder(tmp_path / 'a', ['0.png', '1.png', '2.png']))
    (tmp_path / 'a' / '1.png').unlink()
    now = FileNames.of(folder(tmp_path / 'a', ['3.png', '4.png']))
    said = now.changes(before, 'then')
    assert '4 files, 3 then: 2 new' in said
    assert '1 missing' in said
    turned = FileNames(now.sums.flip(0), now.names[::-1])
    assert 'another order' in turned.changes(now, 'then')


def test_pixels_in_memory_have_no_names_and_nothing_is_drawn():
    np.random.seed(3)
    torch.manual_seed(3)
    drawn = np.random.rand(), torch.rand(())
    np.random.seed(3)
    torch.manual_seed(3)
    assert FileNames.of(Digits(split='train')) is None
    assert (np.random.rand(), torch.rand(())) == drawn


@pytest.mark.parametrize('count', [3, MOST + 5])
def test_long_lists_are_cut(count):
    class Listed(torch.utils.data.Dataset):
        data_list = [f'/data/{index}.png' for index in range(count)] * 2

    assert len(FileNames.of(Listed()).sums) == min(count, MOST)


def test_processes_that_list_otherwise_are_told_apart(tmp_path, monkeypatch):
    now = FileNames.of(folder(tmp_path / 'a', ['0.png', '1.png']))
    turned = FileNames(now.sums.flip(0), now.names[::-1])

    def first_has(first):
        def broadcast(values):
            values[0] = first.sums

        monkeypatch.setattr('rggan_mm.training.file_names.broadcast_object_list', broadcast)
        monkeypatch.setattr(
            'rggan_mm.training.file_names.all_gather_object', lambda text: ['', text]
        )

    first_has(now)
    assert list(now_elsewhere(now)) == []
    first_has(turned)
    ((rank, text),) = now_elsewhere(now)
    assert rank == 1
    assert 'another order' in text
