"""Batches that travel as bytes."""

import resource
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmagic.structures import DataSample
from mmengine.dataset import InfiniteSampler, pseudo_collate
from tiny import ROOT
from torch.utils.data import DataLoader, Dataset

from rggan_mm.training.batches import Batches
from rggan_mm.training.worker_batches import PackedBatch

VALUES = [
    torch.arange(6).view(2, 3)[:, 1:],
    torch.tensor(0.5, dtype=torch.float64),
    torch.ones(2, dtype=torch.bfloat16),
    torch.ones(3, requires_grad=True),
    torch.empty(0, 3),
    torch.ones(2, 2).to_sparse(),
    np.arange(3),
    'text',
]


@pytest.mark.parametrize('value', VALUES, ids=lambda value: type(value).__name__)
def test_what_is_packed_comes_back(value):
    (back,) = PackedBatch([value]).unpack()
    assert type(back) is type(value)
    if isinstance(value, torch.Tensor):
        assert (back.dtype, back.requires_grad) == (value.dtype, value.requires_grad)
        assert torch.equal(back.to_dense(), value.to_dense())
    else:
        assert np.array_equal(back, value)


def test_a_tensor_is_as_good_as_new():
    image = torch.zeros(3, 1000, 1000)[:, :4, :4]
    packed = PackedBatch(dict(data_samples=DataSample(gt_img=image)))
    back = packed.unpack()['data_samples'].gt_img
    back += 1  # it may be written to
    assert back.sum() == 48
    assert len(packed.content) < 4000  # the part alone


class Samples(Dataset):
    """Images as MMagic gives them."""

    def __len__(self):
        return 600

    def __getitem__(self, index):
        return dict(data_samples=DataSample(gt_img=torch.full((3, 4, 4), index)))


def few_open_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    dataset = Samples()
    loader = DataLoader(
        dataset,
        batch_size=512,
        num_workers=2,
        sampler=InfiniteSampler(dataset, shuffle=False),
        collate_fn=pseudo_collate,
    )
    batches = Batches(loader, 0)
    for _ in range(3):
        seen = [sample.gt_img[0, 0, 0].item() for sample in next(batches)['data_samples']]
        assert len(set(seen)) == 512
    batches.close()


@pytest.mark.slow
def test_more_images_than_open_files():
    code = 'from test_worker_batches import few_open_files; few_open_files()'
    folders = [str(ROOT), str(ROOT / 'tests' / 'helpers'), str(ROOT / 'tests' / 'training')]
    code = f'import sys; sys.path[:0] = {folders}; {code}'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
