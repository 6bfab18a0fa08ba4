"""RG-GAN in every family: sparse, dense, saved, resumed; the counterpart of the control."""

import math

import pytest
import torch
from families import family_runner
from family_walk import GROWTH, Watch, differences, family_params, rg_hooks
from mmengine.hooks import Hook
from tiny import hook_of
from weight_spy import WeightSpy

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.discovery import sparse_networks, trained_sparse_networks


class Spying(Hook):
    """Keeps a spy on all pruned layers while a run trains, and each iteration's phase."""

    priority = 'LOWEST'

    def before_train(self, runner):
        self.phases = []
        self.spy = WeightSpy(trained_sparse_networks(runner.model))
        self.spy.__enter__()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        networks = sparse_networks(runner.model).values()
        self.phases.append({network.sparse for network in networks})

    def after_train(self, runner):
        self.spy.__exit__(None, None, None)


def train(name, folder, mode, **overrides):
    """One training of a family with RG hooks, watched."""
    groups = {'rg_hooks': rg_hooks(name, mode), 'train_cfg__val_interval': 2}
    metrics = [dict(type='IterationMetric')]
    runner = family_runner(name, folder, metrics=metrics, **groups, **overrides)
    watch, spying = Watch(), Spying()
    for hook in (watch, spying):
        runner.register_hook(hook)
    runner.train()
    return runner, watch, spying


@pytest.mark.parametrize('mode', ['published', pytest.param('ste', marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', family_params())
def test_a_family_trains_sparse_then_dense_saves_and_resumes(tmp_path, name, mode):
    runner, first, spying = train(name, tmp_path, mode)
    assert spying.phases == [{True}] * 4 + [{False}] * 2
    networks = trained_sparse_networks(runner.model)
    assert len(networks) == 2
    spy = spying.spy
    assert spy.masked
    assert spy.unmasked == set()
    assert spy.masked == spy.ratios.keys()
    for network in networks:
        assert min(ratio for (owner, _), ratio in spy.ratios.items() if owner == network) < 1
    if name not in GROWTH:  # stages that are still to come do not compute
        every = {(n, layer) for n, network in networks.items() for layer in network.layers}
        assert spy.masked == every
    for log in first.logs:
        assert all(map(math.isfinite, log.values())), log
    optimizers = hook_of(runner, DynamicPruningHook).optimizers
    saved = {n: opt.state_dict() for n, opt in optimizers.items()}
    runner, second, _ = train(name, tmp_path, mode, resume=True, train_cfg__max_iters=8)
    assert (second.started_at, runner.iter) == (6, 8)
    assert differences(first.end, second.start) == []
    assert not any(network.sparse for network in sparse_networks(runner.model).values())
    again = hook_of(runner, DynamicPruningHook).optimizers
    # Both stretches after the switch are dense: thresholds rest.
    assert differences(saved, {n: opt.state_dict() for n, opt in again.items()}) == []
    for key, value in second.end['model'].items():
        assert torch.isfinite(value).all(), key


@pytest.mark.parametrize('name', ['cyclegan', 'singan'])
def test_a_metric_that_makes_images_of_noise_is_refused_before_training(tmp_path, name):
    metric = dict(type='GANMetrics', values=['fid'], fake_nums=8, extractor='digits')
    groups = {'rg_hooks': rg_hooks(name, 'published')}
    runner = family_runner(name, tmp_path, metrics=[dict(type='IterationMetric'), metric], **groups)
    with pytest.raises(ConfigError, match=r'GANMetrics makes images of noise, which .*GAN does'):
        runner.train()
    assert runner.iter == 0
