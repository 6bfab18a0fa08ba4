"""``--amp``, which stock MMagic ignores where an optimiser's entry has no type."""

import sys
from pathlib import Path

import mmagic
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from tiny import DIGITS
from tool_modules import TOOLS, load_tool
from torch import nn

from rggan_mm.errors import ConfigError

train = load_tool('train')
CONFIGS = Path(mmagic.__file__).parent / '.mim' / 'configs'
STOCK = {
    'dcgan/dcgan_1xb128-5epoches_lsun-bedroom-64x64.py': ('generator', 'discriminator'),
    'singan/singan_balloons.py': ('generator', 'discriminator'),
    'cyclegan/cyclegan_lsgan-id0-resnet-in_1xb1-250kiters_summer2winter.py': (
        'generators',
        'discriminators',
    ),
}


@pytest.mark.parametrize('path', STOCK)
def test_amp_reaches_entries_without_a_type(path):
    settings = Config.fromfile(CONFIGS / path).optim_wrapper
    assert all('type' not in settings[name] for name in STOCK[path])
    train.use_mixed_precision(settings)
    for name in STOCK[path]:
        assert settings[name].type == 'AmpOptimWrapper'
        assert settings[name].loss_scale == 'dynamic'


def test_the_optimisers_that_are_built_are_mixed(monkeypatch):
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    settings = Config.fromfile(DIGITS).optim_wrapper
    settings.constructor = f'mmagic.{settings.constructor}'
    model = nn.ModuleDict({name: nn.Linear(1, 1) for name in ('generator', 'discriminator')})
    assert type(build_optim_wrapper(model, settings.copy())['generator']) is OptimWrapper
    train.use_mixed_precision(settings)
    built = build_optim_wrapper(model, settings)
    for name in ('generator', 'discriminator'):
        assert type(built[name]).__name__ == 'AmpOptimWrapper'


def test_a_loss_scale_of_the_config_stays():
    optimizer = dict(type='Adam')
    settings = ConfigDict(type='AmpOptimWrapper', loss_scale=512, optimizer=optimizer)
    train.use_mixed_precision(settings)
    assert (settings.type, settings.loss_scale) == ('AmpOptimWrapper', 512)


def test_another_wrapper_is_refused():
    settings = ConfigDict(generator=dict(type='ApexOptimWrapper', optimizer=dict(type='Adam')))
    with pytest.raises(ConfigError, match='--amp: an optimizer is wrapped in ApexOptimWrapper'):
        train.use_mixed_precision(settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_without_a_gpu_amp_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [str(TOOLS / 'train.py'), str(DIGITS), '--amp'])
    assert train.main() == 1
    assert 'error: --amp: mixed precision needs a GPU' in capsys.readouterr().err
