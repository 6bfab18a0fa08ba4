"""An Adam of MMagic's scope that takes integers among its betas."""

import pytest
import torch
from mmagic.registry import OPTIMIZERS as MMAGIC_OPTIMIZERS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import OPTIMIZERS, DefaultScope, init_default_scope
from torch import nn

from rggan_mm.compat.library_changes import Adam, refuses_integers

needs_gap = pytest.mark.skipif(not refuses_integers(), reason='this PyTorch takes integer betas')
STYLEGAN2 = "_base_ = 'mmagic::styleganv2/stylegan2_c2_8xb4-800kiters_ffhq-256x256.py'\n"


@pytest.fixture
def mmagic_scope():
    previous = DefaultScope.get_current_instance()
    init_default_scope('mmagic')
    yield
    if previous is not None:
        init_default_scope(previous.scope_name)


def _cfg(**more):
    return dict(type='Adam', lr=0.1, betas=(0, 0.99), **more)


@needs_gap
def test_mmengines_own_scope_keeps_torchs_adam():
    assert OPTIMIZERS.get('Adam') is torch.optim.Adam
    with pytest.raises(ValueError, match='betas must be either both floats or both Tensors'):
        OPTIMIZERS.build(_cfg(params=[torch.zeros(1)], _scope_='mmengine'))


@needs_gap
@pytest.mark.usefixtures('mmagic_scope')
@pytest.mark.parametrize('registry', [OPTIMIZERS, MMAGIC_OPTIMIZERS])
def test_in_mmagics_scope_integer_betas_build_the_same_optimiser(registry):
    cfg = _cfg(params=[torch.zeros(1)], eps=1e-3)
    built = registry.build(cfg)
    assert type(built) is Adam
    assert built.defaults == torch.optim.Adam([torch.zeros(1)], 0.1, (0.0, 0.99), 1e-3).defaults
    assert isinstance(cfg['betas'][0], int)


@pytest.mark.usefixtures('mmagic_scope')
def test_a_wrapper_built_from_a_config_steps_and_keeps_parameter_options():
    model = nn.Linear(2, 1)
    options = dict(bias_lr_mult=2.0)
    cfg = dict(type='OptimWrapper', optimizer=_cfg(), paramwise_cfg=options)
    wrapper = build_optim_wrapper(model, cfg)
    before = model.weight.detach().clone()
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    assert not torch.equal(before, model.weight)
    assert [group['lr'] for group in wrapper.optimizer.param_groups] == [0.1, 0.2]


@pytest.mark.usefixtures('mmagic_scope')
def test_the_stock_stylegan2_config_builds_its_optimisers(tmp_path):
    (tmp_path / 'config.py').write_text(STYLEGAN2)
    config = Config.fromfile(tmp_path / 'config.py')
    assert isinstance(config.optim_wrapper.generator.optimizer.betas[0], int)
    model = nn.ModuleDict(dict(generator=nn.Linear(1, 1), discriminator=nn.Linear(1, 1)))
    wrappers = build_optim_wrapper(model, config.optim_wrapper)
    for wrapper in wrappers.values():
        assert wrapper.optimizer.defaults['betas'][0] == 0.0
        assert isinstance(wrapper.optimizer.defaults['betas'][0], float)


def test_a_state_goes_to_torchs_adam_and_back():
    parameter = nn.Parameter(torch.ones(2))
    ours, theirs = Adam([parameter], betas=(0, 0.9)), torch.optim.Adam([parameter])
    parameter.sum().backward()
    ours.step()
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0]['betas'] == (0.0, 0.9)


def test_everything_else_passes_through():
    tensors = torch.tensor(0.0), torch.tensor(0.9)
    kept = Adam([torch.zeros(1)], betas=tensors, capturable=True, foreach=False).defaults['betas']
    assert kept[0] is tensors[0]
    assert Adam([torch.zeros(1)], 0.1, (0.5, 0.9), 1e-3).defaults['eps'] == 1e-3
    with pytest.raises(ValueError, match='Invalid beta'):
        Adam([torch.zeros(1)], betas=(0, 2))
