"""What the task does to thresholds, by Adam's memory, and the lambda that outweighs it."""

import pytest
import torch
from torch import nn
from torch.optim import SGD

from rggan_mm.pruning import SparseNetwork, ThresholdOptimizer
from rggan_mm.pruning.task_gradients import lam_beside, settle_beside, task_gradients

LR = 1e-3
STEPS = 200


def small(lam, betas=(0.0, 0.9)):
    """A network whose weights stand still, its optimiser, and that of its thresholds."""
    torch.manual_seed(0)
    network = SparseNetwork(nn.Linear(50, 4, bias=False), 'ste')
    main = SGD(network.network.parameters(), lr=1e-12)
    return network, main, ThresholdOptimizer(network, lam, lr=LR, betas=betas).follow(main)


def step(network, main, size):
    """One step with a task gradient of this size and either sign; a loss of the thresholds."""
    (threshold,) = network.thresholds.values()
    network.network(torch.ones(1, 50))
    main.zero_grad()
    threshold.grad = size * torch.randn(4).sign()
    network.network.weight.grad = torch.zeros(4, 50)
    main.step()


def sizes(network):
    (layer,) = network.layers.values()
    return {layer: layer.info.stored.detach().abs() - layer.threshold.detach()[:, None]}


@pytest.mark.parametrize('betas', [(0.0, 0.9), (0.5, 0.9)])
@pytest.mark.parametrize('lam', [0.0, 1e-3, 0.3])
def test_gradients_are_told_from_those_of_lambda(lam, betas):
    network, main, optimizer = small(lam, betas)
    for _ in range(50):
        step(network, main, 0.01)
    (found,) = task_gradients(optimizer, list(network.layers.values())).values()
    size = found.mean().sqrt().item()
    # Momentum averages signs out, where lambda outweighs the task.
    assert 0.002 < size < 0.02 if betas[0] and lam > 0.01 else size == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize('share', [0.9, 0.6])
def test_lambda_prunes_beside_a_task_that_pushes_both_ways(share):
    network, main, optimizer = small(0.0)
    for _ in range(30):
        step(network, main, 0.01)
    layers = list(network.layers.values())
    found = task_gradients(optimizer, layers)
    optimizer.lam, expected = lam_beside(optimizer, found, sizes(network), share, STEPS)
    settle_beside(optimizer, found, 0.0)
    assert expected == pytest.approx(share, abs=0.01)
    assert optimizer.lam > 1e-4
    for _ in range(STEPS):
        step(network, main, 0.01)
    assert network.keep_ratio() == pytest.approx(share, abs=0.07)


def test_lambda_is_0_where_less_is_left_and_finite_where_too_much_is():
    network, main, optimizer = small(0.0)
    layers = list(network.layers.values())
    step(network, main, 0.01)
    found = task_gradients(optimizer, layers)
    assert lam_beside(optimizer, found, sizes(network), 1.5, STEPS)[0] == 0
    lam, left = lam_beside(optimizer, found, sizes(network), 0.1, 1)
    assert 0.01 < lam < 0.1
    assert left > 0.9


def test_without_a_step_so_far_nothing_is_known_and_lambda_is_0():
    network, _, optimizer = small(0.0)
    found = task_gradients(optimizer, list(network.layers.values()))
    assert found == {}
    lam, left = lam_beside(optimizer, found, sizes(network), 0.5, STEPS)
    assert lam == 0
    assert left == pytest.approx(1.0, abs=0.02)


def test_a_change_of_lambda_leaves_what_is_known_of_the_task():
    network, main, optimizer = small(1.0)
    for _ in range(30):
        step(network, main, 0.5)
    layers = list(network.layers.values())
    before = task_gradients(optimizer, layers)
    optimizer.lam = 20.0
    settle_beside(optimizer, before, 1.0)
    (now,) = task_gradients(optimizer, layers).values()
    assert torch.allclose(now.sqrt(), torch.full((4,), 0.5), rtol=0.1)
