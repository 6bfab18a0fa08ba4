"""Mixed precision without a GPU."""

import copy
from pathlib import Path

import mmagic
import pytest
import torch
from amp_runs import needs_float16
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper
from mmengine.runner import amp
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.training import SafeAmpOptimWrapper, mixed_precision

STYLEGAN2 = (
    Path(mmagic.__file__).parent
    / '.mim/configs/styleganv2'
    / 'stylegan2_c2-PL_8xb4-fp16-partial-GD-no-scaler-800kiters_ffhq-256x256.py'
)
on_cpu = pytest.mark.skipif(get_device() != 'cpu', reason='the gap is that of a CPU alone')
SWITCHED_OFF = dict(enabled=False)


def wrapper_of(model, **settings):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return SafeAmpOptimWrapper(optimizer=optimizer, **settings)


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
def test_blocks_that_switch_autocast_off_compute_in_float32():
    model = nn.Linear(4, 2)
    wrapper = wrapper_of(model, dtype='bfloat16')
    with wrapper.optim_context(model), amp.autocast(enabled=False):
        assert model(torch.ones(1, 4)).dtype == torch.float32


@on_cpu
def test_an_old_pytorch_refuses_float16_and_trains_bfloat16_without_a_scale(monkeypatch):
    monkeypatch.setattr(mixed_precision, 'takes_float16', lambda: False)
    with pytest.raises(
        ConfigError, match=r"dtype='float16': PyTorch .* on the CPU take 'bfloat16'"
    ):
        step(dtype='float16')
    assert not wrapper_of(nn.Linear(1, 1), loss_scale=512.0).loss_scaler.is_enabled()
    half, moved = step(loss_scale=512.0)
    assert half == torch.bfloat16
    torch.testing.assert_close(moved, torch.full((2, 4), -0.3))


@needs_float16
def test_a_run_without_a_scale_resumes_with_one():
    saved = wrapper_of(nn.Linear(1, 1), loss_scale=SWITCHED_OFF).state_dict()
    assert saved['loss_scaler'] == {}
    wrapper = wrapper_of(nn.Linear(1, 1), loss_scale=8.0)
    with pytest.raises(RuntimeError, match='state dict is empty'):
        AmpOptimWrapper.load_state_dict(wrapper, copy.deepcopy(saved))
    wrapper.load_state_dict(copy.deepcopy(saved))
    assert wrapper.loss_scaler.get_scale() == 8.0


@needs_float16
def test_a_scale_that_was_saved_comes_back():
    saved = wrapper_of(nn.Linear(1, 1), loss_scale=32.0).state_dict()
    wrapper = wrapper_of(nn.Linear(1, 1), loss_scale=8.0)
    wrapper.load_state_dict(saved)
    assert wrapper.loss_scaler.get_scale() == 32.0


@pytest.mark.parametrize('scale', [None, True, '512'])
def test_what_is_no_number_is_refused(scale):
    with pytest.raises(TypeError, match='loss_scale must be'):
        wrapper_of(nn.Linear(1, 1), loss_scale=scale)


@needs_float16
@pytest.mark.parametrize(
    ('scale', 'value'), [('dynamic', 65536.0), (2.0, 2.0), (512, 512.0), ({'init_scale': 4.0}, 4.0)]
)
def test_scales_of_a_config(scale, value):
    assert wrapper_of(nn.Linear(1, 1), loss_scale=scale).loss_scaler.get_scale() == value


@needs_float16
def test_the_fp16_config_of_stylegan2_builds_its_optimisers():
    settings = Config.fromfile(STYLEGAN2).optim_wrapper
    assert settings.generator.loss_scale == 512
    settings.constructor = f'mmagic.{settings.constructor}'
    model = nn.ModuleDict({name: nn.Linear(1, 1) for name in ('generator', 'discriminator')})
    for name in ('generator', 'discriminator'):
        settings[name].optimizer.type = 'mmagic.Adam'  # which takes their integer betas
    built = build_optim_wrapper(model, mixed_precision.safe_wrappers(settings))
    assert settings.generator.type == 'AmpOptimWrapper'
    for name in ('generator', 'discriminator'):
        assert type(built[name]) is SafeAmpOptimWrapper
        assert built[name].loss_scaler.get_scale() == 512.0
        assert isinstance(built[name]._scale_update_param, float)


def test_optimisers_that_are_built_stay():
    wrapper = OptimWrapper(torch.optim.SGD([torch.zeros(1)], lr=1))
    assert mixed_precision.safe_wrappers(wrapper) is wrapper
    assert mixed_precision.safe_wrappers({'generator': wrapper})['generator'] is wrapper
