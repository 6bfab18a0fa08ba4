"""Folders of large images and with workers."""

import numpy as np
import pytest
import torch
from PIL import Image

from rggan_mm.evaluation import images
from rggan_mm.evaluation.images import chunks
from rggan_mm.evaluation.sources import ImageFolder


@pytest.fixture
def folder(tmp_path):
    draw = np.random.RandomState(0)
    for index in range(9):
        pixels = draw.randint(0, 256, (8, 8, 3)).astype('u1')
        Image.fromarray(pixels).save(tmp_path / f'{index}.png')
    return tmp_path


@pytest.mark.parametrize('workers', [0, 2])
def test_large_images_come_in_small_groups(folder, monkeypatch, workers):
    monkeypatch.setattr(images, 'CHUNK_VALUES', 2 * 3 * 64 + 1)
    found = list(ImageFolder(folder, 50, workers).batches())
    assert [len(batch) for batch in found] == [2, 2, 2, 2, 1]
    expected = [np.array(Image.open(folder / f'{index}.png')) for index in range(9)]
    seen = (torch.cat(found) * 255).round().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(
    ('sizes', 'most', 'expected'),
    [
        ([5, 5, 5], 2, [[5, 5], [5]]),
        ([50, 5, 5, 5], 9, [[50], [5, 5], [5]]),
        ([4, 4, 4], 9, [[4, 4], [4]]),
        ([], 9, []),
    ],
)
def test_groups_hold_no_more_than_is_allowed(monkeypatch, sizes, most, expected):
    monkeypatch.setattr(images, 'CHUNK_VALUES', 10)
    assert list(chunks(iter(sizes), most, int)) == expected


def test_only_a_group_is_read_ahead(folder):
    read = []

    class Counted(ImageFolder):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    next(Counted(folder, 3).batches())
    assert len(read) <= 4


def test_alpha_is_told(folder):
    Image.new('RGBA', (8, 8), (0, 0, 0, 0)).save(folder / '0.png')
    with pytest.warns(UserWarning, match='1 of 9 images have an alpha channel: put on'):
        white = next(ImageFolder(folder).batches())
    assert (white[0] == 1).all()
    with pytest.warns(UserWarning, match='dropped'):
        black = next(ImageFolder(folder, like_pytorch_fid=True).batches())
    assert (black[0] == 0).all()
