"""Thresholds before or after DistributedDataParallel: the same training."""

import pytest
import torch
from processes import run_together
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rggan_mm.pruning import RGGAN, SparseNetwork

IGNORED = '_ddp_params_and_buffers_to_ignore'
needs_gloo = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason='needs gloo')


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 3))


def train(net, wrap_first, mode, rank):
    """Four steps, every process on images of its own."""
    given = DistributedDataParallel(net) if wrap_first else net
    rggan = RGGAN({'net': given}, lam=1e-6, mode=mode, lr=0.02)
    wrapped = given if wrap_first else DistributedDataParallel(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.0, 0.9))
    rggan.follow('net', optimizer)
    draw = torch.Generator().manual_seed(rank)
    for _ in range(4):
        optimizer.zero_grad()
        wrapped(torch.randn(4, 3, 8, 8, generator=draw)).square().mean().backward()
        optimizer.step()
    return {name: value.detach().clone() for name, value in net.named_parameters()}


def _train_in_both_orders(rank, folder):
    runs = {
        (mode, wrap_first): train(network(), wrap_first, mode, rank)
        for mode in ('published', 'ste')
        for wrap_first in (True, False)
    }
    torch.save(runs, folder / f'{rank}.pth')


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('orders')
    run_together(_train_in_both_orders, folder, world=2)
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


@needs_gloo
@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_both_orders_train_alike(ranks, mode):
    expected = ranks[0][mode, True]
    for found in (ranks[0][mode, False], ranks[1][mode, True], ranks[1][mode, False]):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.allclose(found[name], value, rtol=0, atol=1e-7), name


@needs_gloo
@pytest.mark.parametrize('wrap_first', [True, False])
def test_published_thresholds_move_by_lr_a_step(ranks, wrap_first):
    # lam is far above Adam's eps.
    run = ranks[0]['published', wrap_first]
    thresholds = [value for name, value in run.items() if name.endswith('threshold')]
    assert len(thresholds) == 2
    for threshold in thresholds:
        assert threshold.flatten().tolist() == pytest.approx([4 * 0.02] * len(threshold), rel=0.03)


def test_what_was_kept_from_the_reducer_before_stays_so():
    net = network()
    setattr(net, IGNORED, ['0.bias'])
    sparse = SparseNetwork(net)
    assert getattr(net, IGNORED) == ['0.bias', '0.threshold', '2.threshold']
    sparse.detach()
    assert getattr(net, IGNORED) == ['0.bias']
