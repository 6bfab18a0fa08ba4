"""Optimiser steps counted from a config, against a run's own count."""

import re
from types import SimpleNamespace

import pytest
from tiny import hook_of, tiny_runner

from rggan_mm.analysis.step_counts import optimizer_steps
from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.discovery import sparse_networks
from rggan_mm.pruning.calibration import threshold_after


@pytest.mark.parametrize(
    ('critic', 'repeats', 'accumulate_d', 'accumulate_g'),
    [(1, 1, 1, 1), (2, 1, 1, 1), (2, 3, 1, 1), (1, 1, 2, 1), (1, 2, 1, 2), (2, 1, 2, 1)],
)
def test_as_many_as_the_thresholds_of_a_run_make(
    tmp_path, critic, repeats, accumulate_d, accumulate_g
):
    runner = tiny_runner(
        tmp_path,
        train_cfg__max_iters=9,
        train_cfg__val_interval=100,
        custom_hooks=[dict(type='DynamicPruningHook', lam=1.0)],
        model__discriminator_steps=critic,
        model__generator_steps=repeats,
        optim_wrapper__discriminator__accumulative_counts=accumulate_d,
        optim_wrapper__generator__accumulative_counts=accumulate_g,
    )
    runner.train()
    for name, optimizer in hook_of(runner, DynamicPruningHook).optimizers.items():
        made = {int(state['step']) for state in optimizer.state_dict()['state'].values()}
        counted = optimizer_steps(runner.cfg, runner.model, name)
        assert made == {counted}
        reached = sparse_networks(runner.model)[name].threshold_mean()
        assert reached == pytest.approx(threshold_after(counted, 1.0), rel=0.003)


def translation(steps, at_first):
    return SimpleNamespace(discriminator_steps=steps, disc_init_steps=at_first)


@pytest.mark.parametrize('steps', [1, 2, 3])
@pytest.mark.parametrize('at_first', [0, 4, 5, 6])
def test_translation_models_may_train_discriminators_alone_at_first(steps, at_first):
    config = {'train_cfg': {'max_iters': 20}}
    # The condition of MMagic's CycleGAN and Pix2Pix.
    turns = [i for i in range(20) if (i + 1) % steps == 0 and i >= at_first]
    model = translation(steps, at_first)
    assert optimizer_steps(config, model, 'generators') == len(turns)
    assert optimizer_steps(config, model, 'discriminators') == 20


def test_layers_of_singan_train_in_one_stage():
    model = SimpleNamespace(discriminator_steps=3, generator_steps=3, iters_per_scale=10)
    config = {'train_cfg': {'max_iters': 90}}
    assert optimizer_steps(config, model, 'generator') == 30
    assert optimizer_steps(config, model, 'discriminator') == 30


@pytest.mark.parametrize(
    ('train_cfg', 'shown'), [({'max_epochs': 3}, 'None'), (None, 'None'), ({'max_iters': 0}, '0')]
)
def test_length_of_training_must_be_known(train_cfg, shown):
    with pytest.raises(ConfigError, match=re.escape(f'train_cfg.max_iters={shown} must be')):
        optimizer_steps({'train_cfg': train_cfg}, translation(1, 0), 'generators')
