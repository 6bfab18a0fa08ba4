"""Thresholds before or after DistributedDataParallel: the same training."""

import pytest
import torch
from processes import run_together
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rggan_mm.pruning import RGGAN, SparseNetwork

IGNORED = '_ddp_params_and_buffers_to_ignore'


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
    for mode in ('published', 'ste'):
        first, last = (train(network(), order, mode, rank) for order in (True, False))
        thresholds = [name for name in first if name.endswith('threshold')]
        assert len(thresholds) == 2
        for name, value in first.items():
            torch.testing.assert_close(last[name], value, rtol=0, atol=1e-7)
            mean = value.clone()
            torch.distributed.all_reduce(mean)
            torch.testing.assert_close(mean / 2, value, rtol=0, atol=1e-7)
        if mode == 'published':  # lr a step, as lam is far above Adam's eps
            for name in thresholds:
                moved = torch.full_like(last[name], 4 * 0.02)
                torch.testing.assert_close(last[name], moved, rtol=0.03, atol=0)


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason='needs gloo')
def test_both_orders_train_alike(tmp_path):
    run_together(_train_in_both_orders, tmp_path, world=2)


def test_what_was_kept_from_the_reducer_before_stays_so():
    net = network()
    setattr(net, IGNORED, ['0.bias'])
    sparse = SparseNetwork(net)
    assert getattr(net, IGNORED) == ['0.bias', '0.threshold', '2.threshold']
    sparse.detach()
    assert getattr(net, IGNORED) == ['0.bias']
