"""Sample grids of other families than SNGAN: conditional ones work, some refuse."""

import numpy as np
import pytest
import torch
from families import family_runner
from family_walk import family_params
from PIL import Image
from tiny import hook_of

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import SampleGridHook

HOOK = dict(type='SampleGridHook', rows=2)
NOT_FROM_NOISE = {
    'cyclegan': 'CycleGAN',
    'pix2pix': 'Pix2Pix',
    'singan': 'SinGAN',
    'pe_singan': 'PESinGAN',
}


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize('name', family_params(['sagan', 'biggan_cifar10', 'pggan']))
def test_a_grid_comes_with_each_validation(tmp_path, name):
    runner = family_runner(
        name, tmp_path, hooks=[HOOK], train_cfg__max_iters=4, train_cfg__val_interval=2
    )
    runner.train()
    files = sorted((tmp_path / 'samples').iterdir())
    assert [file.name for file in files] == ['iter_000002.png', 'iter_000004.png']
    first, last = map(pixels, files)
    assert first.shape == last.shape == (2 * 66 + 2, 2 * 66 + 2, 3)
    assert not np.array_equal(first, last)


@pytest.mark.parametrize('name', ['sagan', 'biggan_cifar10'])
def test_the_classes_are_the_same_each_time(tmp_path, name):
    runner = family_runner(name, tmp_path, hooks=[HOOK])
    hook, labels = hook_of(runner, SampleGridHook), []
    average = runner.model.generator_ema if runner.model.with_ema_gen else runner.model.generator
    runner.model.eval()  # as in a validation
    average.register_forward_pre_hook(
        lambda module, args, kwargs: labels.append(kwargs.get('label', args[-1])), with_kwargs=True
    )
    grids = []
    for seed in (1, 2):  # the run is somewhere else in its random stream
        torch.manual_seed(seed)
        hook.after_val_epoch(runner)
        grids.append(pixels(tmp_path / 'samples' / 'iter_000000.png'))
    assert np.array_equal(*grids)
    assert torch.equal(*labels)
    assert len(labels[0]) == 4
    assert len(set(labels[0].tolist())) > 1


@pytest.mark.parametrize('name', NOT_FROM_NOISE)
def test_models_that_take_no_noise_are_refused_before_the_run(tmp_path, name):
    runner = family_runner(name, tmp_path, hooks=[HOOK])
    message = f'SampleGridHook: {NOT_FROM_NOISE[name]} has no noise_size.*VisualizationHook'
    with pytest.raises(ConfigError, match=message) as caught:
        runner.train()
    assert '\n' not in str(caught.value)
    assert runner.iter == 0
