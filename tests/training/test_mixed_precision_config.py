"""What ``--amp`` makes of a config."""

from pathlib import Path

import mmagic
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from tiny import DIGITS, ROOT
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.training import mixed_precision
from rggan_mm.training.mixed_precision import use_mixed_precision

CONFIGS = Path(mmagic.__file__).parent / '.mim' / 'configs'
STOCK = {
    'dcgan/dcgan_1xb128-5epoches_lsun-bedroom-64x64.py': ('generator', 'discriminator'),
    'singan/singan_balloons.py': ('generator', 'discriminator'),
    'cyclegan/cyclegan_lsgan-id0-resnet-in_1xb1-250kiters_summer2winter.py': (
        'generators',
        'discriminators',
    ),
}
FP16_FLAGS = 'styleganv2/stylegan2_c2-PL_8xb4-fp16-partial-GD-no-scaler-800kiters_ffhq-256x256.py'
STYLEGAN2 = ROOT / 'configs' / 'rg_stylegan2_folder_256.py'
NO_SCALE = dict(enabled=False)


@pytest.fixture
def device(monkeypatch):
    """Sets the device that the config is for."""
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: True)
    return lambda name: monkeypatch.setattr(mixed_precision, 'get_device', lambda: name)


def one(**wrapper):
    """A config with one optimiser."""
    return Config(dict(model=dict(type='GGAN'), optim_wrapper=dict(optimizer={}, **wrapper)))


@pytest.mark.parametrize('path', STOCK)
def test_amp_reaches_entries_without_a_type(path, device):
    device('cuda')
    config = Config.fromfile(CONFIGS / path)
    assert all('type' not in config.optim_wrapper[name] for name in STOCK[path])
    use_mixed_precision(config)
    for name in STOCK[path]:
        wrapper = config.optim_wrapper[name]
        assert (wrapper.type, wrapper.dtype) == ('SafeAmpOptimWrapper', 'float16')
        assert wrapper.loss_scale == 'dynamic'


@pytest.mark.parametrize(
    ('name', 'choice', 'dtype', 'scale'),
    [
        ('cuda', None, 'float16', 'dynamic'),
        ('cuda', 'fp16', 'float16', 'dynamic'),
        ('cuda', 'bf16', 'bfloat16', NO_SCALE),
        ('cpu', None, 'bfloat16', NO_SCALE),
        ('cpu', 'bf16', 'bfloat16', NO_SCALE),
        ('cpu', 'fp16', 'float16', 'dynamic'),
    ],
)
def test_precision_of_a_device(name, choice, dtype, scale, device, monkeypatch):
    device(name)
    monkeypatch.setattr(mixed_precision, 'takes_float16', lambda: True)
    config = one()
    use_mixed_precision(config, choice)
    assert (config.optim_wrapper.dtype, config.optim_wrapper.loss_scale) == (dtype, scale)


def test_the_optimisers_that_are_built_are_mixed():
    config = Config.fromfile(DIGITS)
    settings = config.optim_wrapper
    settings.constructor = f'mmagic.{settings.constructor}'
    model = nn.ModuleDict({name: nn.Linear(1, 1) for name in ('generator', 'discriminator')})
    assert type(build_optim_wrapper(model, settings.copy())['generator']) is OptimWrapper
    use_mixed_precision(config)
    built = build_optim_wrapper(model, settings)
    for name in ('generator', 'discriminator'):
        assert type(built[name]) is mixed_precision.SafeAmpOptimWrapper


def test_what_the_config_says_stays_and_a_choice_changes_the_dtype():
    config = one(type='AmpOptimWrapper', loss_scale=512, dtype='float16')
    use_mixed_precision(config)
    assert config.optim_wrapper == dict(
        type='SafeAmpOptimWrapper', loss_scale=512, dtype='float16', optimizer={}
    )
    use_mixed_precision(config, 'bf16')
    assert (config.optim_wrapper.loss_scale, config.optim_wrapper.dtype) == (512, 'bfloat16')


def test_stylegan2_gets_blocks_unless_it_chose():
    config = Config.fromfile(STYLEGAN2)
    use_mixed_precision(config)
    for name in ('generator', 'discriminator'):
        assert config.model[name].num_fp16_scales == 4
    config = Config.fromfile(CONFIGS / FP16_FLAGS)
    config.model.generator = dict(config.model.generator, fp16_enabled=True, num_fp16_scales=0)
    config.model.discriminator.num_fp16_scales = 2
    use_mixed_precision(config)
    assert config.model.generator.num_fp16_scales == 0
    assert config.model.discriminator.num_fp16_scales == 2
    assert config.optim_wrapper.generator.loss_scale == 512


def test_other_networks_get_no_blocks():
    config = Config.fromfile(DIGITS)
    before = config.model.to_dict()
    use_mixed_precision(config)
    assert config.model.to_dict() == before


def test_another_wrapper_is_refused():
    config = one()
    config.optim_wrapper = ConfigDict(
        generator=dict(type='ApexOptimWrapper', optimizer=dict(type='Adam'))
    )
    with pytest.raises(ConfigError, match='--amp: an optimizer is wrapped in ApexOptimWrapper'):
        use_mixed_precision(config)


def test_a_precision_that_is_none_is_refused():
    with pytest.raises(ConfigError, match='--amp fp8: must be one of bf16, fp16'):
        use_mixed_precision(one(), 'fp8')


def test_float16_needs_a_recent_pytorch_on_the_cpu(device, monkeypatch):
    device('cpu')
    monkeypatch.setattr(mixed_precision, 'takes_float16', lambda: False)
    with pytest.raises(ConfigError, match=r'--amp fp16: PyTorch .* take --amp bf16'):
        use_mixed_precision(one(), 'fp16')


def test_a_gpu_without_bfloat16_is_named(device, monkeypatch):
    device('cuda')
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: False)
    with pytest.raises(ConfigError, match='--amp bf16: this GPU has no bfloat16'):
        use_mixed_precision(one(), 'bf16')


def test_stylegan2_has_no_bfloat16_on_a_gpu(device):
    device('cuda')
    with pytest.raises(ConfigError, match='StyleGANv2Generator computes in float16 alone'):
        use_mixed_precision(Config.fromfile(STYLEGAN2), 'bf16')


def test_another_device_is_named(device):
    device('mps')
    with pytest.raises(ConfigError, match='--amp: mps has no mixed precision'):
        use_mixed_precision(one())
