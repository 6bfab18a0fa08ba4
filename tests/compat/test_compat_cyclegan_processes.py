from functools import partial

import pytest
import torch
from mmagic.models.editors.cyclegan import CycleGAN
from mmagic.models.editors.pix2pix import Pix2Pix
from mmengine.logging import MessageHub
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from processes import run_together
from translation import cyclegan, pix2pix

from rggan_mm.compat import processes

WORLD = 2
IMAGES = 4
STEPS = 4


def build(kind):
    torch.manual_seed(0)
    return (cyclegan() if kind is CycleGAN else pix2pix(dropout=True)).double()


def train(model, share, counts=1):
    """A few steps of the stock trainer with a share of every batch."""
    wrappers = {}
    for name in ('generators', 'discriminators'):
        optimizer = torch.optim.SGD(getattr(model, name).parameters(), lr=0.05)
        accumulate = counts if name == 'discriminators' else 1
        wrappers[name] = OptimWrapper(optimizer, accumulative_counts=accumulate)
    optim_wrapper = OptimWrapperDict(**wrappers)
    for iteration in range(STEPS):
        MessageHub.get_current_instance().update_info('iter', iteration)
        generator = torch.Generator().manual_seed(iteration)
        shape = (2, IMAGES, 3, 32, 32)
        a, b = torch.rand(shape, generator=generator, dtype=torch.float64)[:, share]
        model.train_step(dict(inputs=dict(img_a=a, img_b=b)), optim_wrapper)


def one_process(rank, folder, kind=CycleGAN, counts=1):
    model = build(kind)
    MMSeparateDistributedDataParallel(model)
    torch.manual_seed(rank)  # dropout is every process's own
    size = IMAGES // WORLD
    train(model, slice(rank * size, rank * size + size), counts)
    weights = [parameter.detach() for parameter in model.parameters()]
    torch.save(weights, folder / f'{rank}.pth')


def together(folder, **options):
    """Weights of each process after training."""
    run_together(partial(one_process, **options), folder, WORLD)
    return [torch.load(folder / f'{rank}.pth', weights_only=True) for rank in range(WORLD)]


def equal(some, others):
    return [torch.equal(mine, theirs) for mine, theirs in zip(some, others, strict=True)]


@pytest.mark.parametrize('kind', [CycleGAN, Pix2Pix])
def test_without_the_repair_every_process_goes_its_own_way(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(kind, 'train_step', kind.train_step.__wrapped__)
    assert not all(equal(*together(tmp_path, kind=kind)))


@pytest.mark.slow
@pytest.mark.parametrize('counts', [1, 2])
def test_two_processes_train_cyclegan_like_one_with_all_images(counts, tmp_path):
    first, second = together(tmp_path, counts=counts)
    assert all(equal(first, second))
    alone = build(CycleGAN)
    before = [parameter.clone() for parameter in alone.parameters()]
    train(alone, slice(None), counts)
    for ours, single, start in zip(first, alone.parameters(), before, strict=True):
        torch.testing.assert_close(ours, single.detach(), rtol=0, atol=1e-12)
        if ours.ndim == 4:
            assert (single - start).abs().max() > 1e-6


def test_two_processes_hold_one_pix2pix(tmp_path):
    assert all(equal(*together(tmp_path, kind=Pix2Pix)))


def test_one_process_is_left_as_it_is():
    ours, stock = build(CycleGAN), build(CycleGAN)
    stock.train_step = partial(CycleGAN.train_step.__wrapped__, stock)
    train(ours, slice(None))
    train(stock, slice(None))
    assert all(equal(ours.parameters(), stock.parameters()))


def test_gradients_are_averaged_once_per_backward():
    parameter = torch.nn.Parameter(torch.ones(1))
    wrapper = OptimWrapper(torch.optim.SGD([parameter], lr=1))
    processes._average_after_backward(wrapper)
    first = wrapper.backward
    processes._average_after_backward(wrapper)
    assert wrapper.backward is first
