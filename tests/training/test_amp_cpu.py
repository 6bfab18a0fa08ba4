"""Mixed precision without a GPU."""

import copy
import inspect

import pytest
import torch
from amp_runs import needs_float16
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import amp
from torch import nn

from rggan_mm.compat import amp as repairs
from rggan_mm.compat import amp_cpu
from rggan_mm.errors import ConfigError

on_cpu = pytest.mark.skipif(get_device() != 'cpu', reason='the gap is that of a CPU alone')
SWITCHED_OFF = dict(enabled=False)
STOCK = """
import torch
from mmengine.optim import AmpOptimWrapper
try:
    AmpOptimWrapper(optimizer=torch.optim.SGD([torch.zeros(1)], lr=1))
except AssertionError as error:
    print(error)
"""


def wrapper_of(model, **settings):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return AmpOptimWrapper(optimizer=optimizer, **settings)


def step(**settings):
    """One step of a small network; the dtype of its output and how far it moved."""
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    wrapper = wrapper_of(model, **settings)
    with wrapper.optim_context(model):
        output = model(torch.ones(3, 4))
        wrapper.update_params(output.float().sum())
    return output.dtype, (model.weight - before).detach()


@on_cpu
def test_stock_needs_a_gpu(run_python):
    done = run_python(STOCK)
    assert 'is only available training' in done.stdout, done.stderr


@on_cpu
@pytest.mark.parametrize('dtype', [None, 'bfloat16', torch.bfloat16])
def test_the_cpu_trains_in_bfloat16(dtype):
    half, moved = step(dtype=dtype, loss_scale=SWITCHED_OFF)
    assert half == torch.bfloat16
    torch.testing.assert_close(moved, torch.full((2, 4), -0.3))


@on_cpu
@needs_float16
@pytest.mark.parametrize('scale', [dict(init_scale=8.0), 512.0, SWITCHED_OFF])
def test_the_cpu_trains_in_float16_with_a_scale(scale):
    half, moved = step(dtype='float16', loss_scale=scale)
    assert half == torch.float16
    torch.testing.assert_close(moved, torch.full((2, 4), -0.3))


@on_cpu
@needs_float16
def test_stock_autocast_has_no_float16_for_the_cpu():
    stock = amp.autocast.__wrapped__
    with pytest.raises(AssertionError, match='only support'), stock(dtype=torch.float16):
        pass


@on_cpu
def test_autocast_that_is_switched_off_leaves_float32():
    model = nn.Linear(4, 2)
    with amp.autocast(dtype=torch.bfloat16), amp.autocast(enabled=False):
        assert model(torch.ones(1, 4)).dtype == torch.float32


@on_cpu
def test_an_old_pytorch_refuses_float16_and_trains_bfloat16_without_a_scale(monkeypatch):
    monkeypatch.setattr(amp_cpu, 'takes_float16', lambda: False)
    with pytest.raises(
        ConfigError, match=r"dtype='float16': PyTorch .* on the CPU take 'bfloat16'"
    ):
        step(dtype='float16')
    assert not wrapper_of(nn.Linear(1, 1), loss_scale=512.0).loss_scaler.is_enabled()
    half, moved = step(loss_scale=512.0)
    assert half == torch.bfloat16
    torch.testing.assert_close(moved, torch.full((2, 4), -0.3))


def test_nothing_changes_where_there_is_a_gpu(monkeypatch):
    before = amp_optimizer_wrapper.GradScaler, amp.autocast
    monkeypatch.setattr(amp_cpu, 'get_device', lambda: 'cuda')
    outcome = amp_cpu.allow_mixed_precision_on_cpu()
    assert (outcome.closed, outcome.reason) == (False, 'MMEngine trains on cuda')
    assert (amp_optimizer_wrapper.GradScaler, amp.autocast) == before


@needs_float16
def test_a_run_without_a_scale_resumes_with_one():
    saved = wrapper_of(nn.Linear(1, 1), loss_scale=SWITCHED_OFF).state_dict()
    assert saved['loss_scaler'] == {}
    wrapper = wrapper_of(nn.Linear(1, 1), loss_scale=8.0)
    stock = inspect.unwrap(AmpOptimWrapper.load_state_dict)
    with pytest.raises(RuntimeError, match='state dict is empty'):
        stock(wrapper, copy.deepcopy(saved))
    wrapper.load_state_dict(copy.deepcopy(saved))
    assert wrapper.loss_scaler.get_scale() == 8.0


@needs_float16
def test_a_scale_that_was_saved_comes_back():
    saved = wrapper_of(nn.Linear(1, 1), loss_scale=32.0).state_dict()
    wrapper = wrapper_of(nn.Linear(1, 1), loss_scale=8.0)
    wrapper.load_state_dict(saved)
    assert wrapper.loss_scaler.get_scale() == 32.0


def test_a_wrapper_that_looks_at_the_scale_is_left_alone(monkeypatch):
    class Newer:
        def load_state_dict(self, state_dict):
            self.state = state_dict

    before = Newer.load_state_dict
    monkeypatch.setattr(repairs, 'AmpOptimWrapper', Newer)
    assert not repairs.resume_without_a_scale().closed
    assert Newer.load_state_dict is before
