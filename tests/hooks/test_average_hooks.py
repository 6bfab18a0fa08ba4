"""Averages that a hook keeps, MMEngine's and MMagic's, in place of the model's own."""

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from tiny import hook_of, tiny_config

from rggan_mm.hooks.discovery import sparse_networks, trained_sparse_networks

MOMENTUM = 0.25
HOOKS = {
    'MMEngine': dict(type='EMAHook', momentum=MOMENTUM),
    'MMagic': dict(
        type='ExponentialMovingAverageHook',
        module_keys='generator_ema',
        interval=1,
        interp_cfg=dict(momentum=MOMENTUM),
    ),
}


class Trace(Hook):
    """Thresholds and their average after each iteration, and those used to validate."""

    priority = 'LOWEST'

    def __init__(self, averaged):
        self.averaged = averaged
        self.live, self.average, self.used = [], [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.live.append(thresholds(runner.model.generator))
        self.average.append(thresholds(self.averaged(runner)))

    def before_val_epoch(self, runner):
        self.used.append(thresholds(runner.model.generator))


def thresholds(network):
    named = network.named_parameters()
    return torch.cat([p.detach().flatten() for name, p in named if name.endswith('threshold')])


def averaged_by_mmengine(runner):
    return hook_of(runner, EMAHook).ema_model.module.generator


def averaged_by_mmagic(runner):
    return runner.model.generator_ema


PLACES = {'MMEngine': averaged_by_mmengine, 'MMagic': averaged_by_mmagic}


def build(folder, kind, **overrides):
    changes = {
        'DynamicPruningHook.lam': 1.0,
        'DynamicPruningHook.lr': 0.01,
        'model.ema_config': None,
        'model.discriminator_steps': 1,
        'val_evaluator.metrics.0.sample_model': 'orig',
        'test_evaluator.metrics.0.sample_model': 'orig',
        **overrides,
    }
    config = tiny_config(folder, **changes)
    config.custom_hooks = [*config.custom_hooks, HOOKS[kind]]
    return Runner.from_cfg(config)


@pytest.fixture(params=list(HOOKS))
def kind(request):
    return request.param


def run(folder, kind, **overrides):
    runner, trace = build(folder, kind, **overrides), Trace(PLACES[kind])
    runner.register_hook(trace)
    runner.train()
    return runner, trace


def test_thresholds_are_averaged_like_weights(tmp_path, kind):
    runner, trace = run(tmp_path, kind, train_cfg__max_iters=4)
    assert trace.live[-1].min() > 0.03
    for before, live, after in zip(trace.average, trace.live[1:], trace.average[1:], strict=False):
        assert torch.allclose(after, before + MOMENTUM * (live - before), atol=1e-7)
    assert set(trained_sparse_networks(runner.model)) == {'generator', 'discriminator'}
    phases = {name: network.sparse for name, network in sparse_networks(runner.model).items()}
    assert set(phases.values()) == {True}


def test_mmengines_average_is_what_gets_evaluated(tmp_path):
    _, trace = run(tmp_path, 'MMEngine', train_cfg__max_iters=3)
    assert len(trace.used) == 3
    assert all(map(torch.equal, trace.used, trace.average))
    # At its first step the average is a copy.
    assert not any(map(torch.equal, trace.used[1:], trace.live[1:]))


def test_a_run_resumes_with_its_average(tmp_path, kind):
    _, first = run(tmp_path, kind, train_cfg__max_iters=4)
    runner = build(tmp_path, kind, resume=True)

    class Start(Hook):
        priority = 'LOWEST'

        def before_train(self, runner):
            self.average = thresholds(PLACES[kind](runner))
            self.live = thresholds(runner.model.generator)

    start = Start()
    runner.register_hook(start)
    runner.train()
    assert runner.iter == 6
    assert torch.equal(start.average, first.average[-1])
    assert torch.equal(start.live, first.live[-1])
