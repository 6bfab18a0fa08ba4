"""What is counted is what happened."""

import pytest
import torch
from torch import nn
from torch.optim import Adam

from dev.benchmark.measures import OperationCounter, costs_of, held_bytes

MB = 2**20


def test_waits_are_values_handed_to_python():
    x = torch.arange(4.0, requires_grad=True)
    with OperationCounter() as counter:
        (x * 2).sum().backward()
    assert counter.waits == 0
    assert counter.operations >= 4  # backward passes count
    with OperationCounter() as counter:
        x.sum().item()
        bool(x[0] > 0)
        torch.nonzero(x.detach())
        torch.equal(x, x)
    assert counter.waits == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason='measures the CPU allocator')
def test_peak_is_what_lives_at_once():
    def turn():
        for _ in range(2):  # two iterations, one after the other
            a = torch.empty(MB)  # 4 MiB
            b = torch.empty(2 * MB)
            del a, b

    costs = costs_of(turn, 2, held=100)
    assert 12 * MB <= costs.peak_bytes - 100 < 12.5 * MB
    assert costs.operations == 2
    assert costs.waits == 0
    assert costs.kernels is None
    assert costs.kernel_share is None


@pytest.mark.gpu
def test_kernels_and_peak_on_a_gpu():
    x = torch.ones(MB, device='cuda')

    def turn():
        x.mul(2).add_(1).sum().item()

    costs = costs_of(turn, 1, held=0)
    assert costs.kernels == 3
    assert costs.waits == 1
    assert costs.kernel_share > 0
    assert costs.peak_bytes >= 4 * MB


def test_held_are_weights_gradients_and_moments_once():
    network = nn.Linear(10, 10, bias=False)
    network.register_buffer('alias', network.weight.detach())
    assert held_bytes(network, []) == 400
    optimizer = Adam(network.parameters())
    network(torch.ones(1, 10)).sum().backward()
    optimizer.step()
    step_counter = 4
    assert held_bytes(network, [optimizer]) == 400 * 4 + step_counter
