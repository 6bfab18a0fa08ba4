import pytest
import torch
from mmagic.registry import OPTIMIZERS as MMAGIC_OPTIMIZERS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from rggan_mm.compat import adam_betas

needs_gap = pytest.mark.skipif(
    not adam_betas._refuses_integers(), reason='this PyTorch takes integer betas'
)


def _cfg(**more):
    return dict(type='Adam', lr=0.1, betas=(0, 0.99), **more)


@needs_gap
def test_without_the_repair_an_integer_is_refused():
    build = OPTIMIZERS.build_func.__wrapped__
    with pytest.raises(ValueError, match='betas must be either both floats or both Tensors'):
        build(_cfg(params=[torch.zeros(1)]), registry=OPTIMIZERS)


@pytest.mark.parametrize('registry', [OPTIMIZERS, MMAGIC_OPTIMIZERS])
def test_integer_betas_build_the_same_optimiser(registry):
    cfg = _cfg(params=[torch.zeros(1)])
    assert registry.build(cfg).defaults['betas'] == (0.0, 0.99)
    assert cfg['betas'] == (0, 0.99)
    assert isinstance(cfg['betas'][0], int)


def test_a_wrapper_built_from_a_config_steps():
    model = nn.Linear(2, 1)
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=_cfg()))
    before = model.weight.detach().clone()
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    assert not torch.equal(before, model.weight)


@pytest.mark.parametrize('betas', [(0.5, 0.9), None, 'x'])
def test_everything_else_passes_through(betas):
    cfg = dict(type='Adam', betas=betas)
    assert adam_betas._with_float_betas(cfg) == cfg


def test_tensors_stay_tensors():
    betas = (torch.tensor(0.0), torch.tensor(0.9))
    assert adam_betas._with_float_betas(dict(betas=betas))['betas'][0] is betas[0]
    assert adam_betas._with_float_betas('Adam') == 'Adam'


def test_nothing_is_replaced_where_integers_are_taken(monkeypatch):
    before = OPTIMIZERS.build_func
    monkeypatch.setattr(adam_betas, '_refuses_integers', lambda: False)
    assert not adam_betas.accept_integer_betas().closed
    assert OPTIMIZERS.build_func is before
