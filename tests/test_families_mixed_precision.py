"""MMagic's families with RG-GAN in mixed precision, as ``--amp`` sets it up."""

import math

import pytest
import torch
from amp_runs import HALF, needs_float16
from families import CONFIGS, family_config
from family_walk import Watch, family_params, moved, rg_hooks
from mmengine.device import get_device
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError
from rggan_mm.hooks.discovery import trained_sparse_networks
from rggan_mm.training.mixed_precision import use_mixed_precision

CONDITIONAL = ['sagan', 'sngan_proj', 'biggan_cifar10', 'biggan_ajbrock']
OTHERS = ['dcgan', 'wgan_gp', 'pggan', 'singan', 'pix2pix']
FP16_FLAGS = 'styleganv2/stylegan2_c2-PL_8xb4-fp16-partial-GD-no-scaler-800kiters_ffhq-256x256.py'


def config_of(name, folder, mode='ste', **settings):
    return family_config(
        name,
        folder,
        metrics=[dict(type='IterationMetric')],
        rg_hooks=rg_hooks(name, mode),
        train_cfg__max_iters=4,
        train_cfg__val_interval=4,
        **settings,
    )


def train(config):
    """Trains; returns what was logged, the first and last state, and what layers gave."""
    runner, watch, dtypes = Runner.from_cfg(config), Watch(), {}

    def look(module, args, output):
        if torch.is_grad_enabled():
            dtypes.setdefault(output.dtype, set()).add(type(module).__name__)

    runner.register_hook(watch)
    runner.call_hook('before_run')
    for network in trained_sparse_networks(runner.model).values():
        for layer in network.layers.values():
            layer.info.module.register_forward_hook(look)
    runner.train()
    for log in watch.logs:
        assert all(map(math.isfinite, log.values())), log
    for network in trained_sparse_networks(runner.model):
        assert any('weight' in key for key in moved(network, watch.start, watch.end)), network
        assert any('threshold' in key for key in moved(network, watch.start, watch.end)), network
    return dtypes


@pytest.mark.parametrize('name', family_params([*CONDITIONAL, *OTHERS]))
def test_a_family_trains_in_bfloat16(tmp_path, name):
    config = config_of(name, tmp_path)
    use_mixed_precision(config, 'bf16')
    assert set(train(config)) == {torch.bfloat16}


@needs_float16
@pytest.mark.parametrize('mode', ['published', pytest.param('ste', marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', family_params(CONDITIONAL[:3]))
def test_a_conditional_family_trains_in_float16_with_a_loss_scale(tmp_path, name, mode):
    config = config_of(name, tmp_path, mode)
    for key in ('generator', 'discriminator'):
        config.optim_wrapper[key].loss_scale = dict(init_scale=1024.0)
    use_mixed_precision(config, 'fp16')
    assert set(train(config)) == {torch.float16}


def test_stylegan2_trains_with_its_own_choice_of_blocks(tmp_path):
    config = config_of('stylegan2', tmp_path)
    use_mixed_precision(config)
    dtypes = train(config)
    assert 'ModulatedConv2d' in dtypes[HALF['bf16' if get_device() == 'cpu' else 'fp16']]
    # Styles and the end of the discriminator stay in float32.
    assert torch.float32 in dtypes


@needs_float16
def test_a_stylegan2_config_with_fp16_of_its_own_trains(tmp_path):
    config = config_of('stylegan2', tmp_path, path=CONFIGS / FP16_FLAGS)
    assert config.optim_wrapper.generator.loss_scale == 512
    assert 'ModulatedConv2d' in train(config)[HALF['bf16' if get_device() == 'cpu' else 'fp16']]


def test_stock_mspie_fails_inside_torch_and_is_refused(tmp_path):
    config = config_of('mspie_stylegan2', tmp_path)
    with pytest.raises(ConfigError, match='--amp: MSPIEStyleGAN2 mixes dtypes'):
        use_mixed_precision(config, 'bf16')
    for wrapper in (config.optim_wrapper.generator, config.optim_wrapper.discriminator):
        wrapper.update(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))
    with pytest.raises(RuntimeError, match='type'):
        Runner.from_cfg(config).train()
