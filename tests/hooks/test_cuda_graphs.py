"""Recorded training steps: what is replayed is what the step would have computed."""

import json

import pytest
import torch
from exact_runs import OPTIONS
from fake_graphs import without_gpu
from mmengine.hooks import Hook
from mmengine.runner import Runner
from run_state import Snapshot, assert_same
from tiny import Records, hook_of, take_hooks, tiny_config

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import CudaGraphHook

FUSED = {f'optim_wrapper.{name}.optimizer.fused': True for name in ('generator', 'discriminator')}
RMSPROP = dict(_delete_=True, type='RMSprop', lr=1e-3)
SETTINGS = {
    **OPTIONS,
    **FUSED,
    'model.discriminator_steps': 2,
    'train_cfg.max_iters': 24,
    'train_cfg.val_interval': 4,
    'default_hooks.checkpoint.interval': 12,
}


class Losses(Hook):
    """Keeps the losses of all iterations."""

    priority = 'HIGHEST'

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append({name: value.item() for name, value in outputs.items()})


def train(folder, graphs, **overrides):
    config = tiny_config(folder, **{**SETTINGS, **overrides})
    take_hooks(config, *(['CudaGraphHook'] if graphs else []))
    runner = Runner.from_cfg(config)
    end, losses, records = Snapshot(), Losses(), Records(runner)
    for hook in (end, losses):
        runner.register_hook(hook)
    replays = []
    if graphs:
        hook = hook_of(runner, CudaGraphHook)
        count = Counting(hook, replays)
        runner.register_hook(count)
    runner.train()
    return runner, end.end, losses.seen, records, replays


class Counting(Hook):
    """Keeps how often each recording was replayed."""

    priority = 'HIGHEST'

    def __init__(self, hook, replays):
        self.hook, self.replays = hook, replays

    def after_train_epoch(self, runner):
        self.replays += [r.graph.replays for r in self.hook.graphs.recordings.values()]


def test_replayed_steps_train_as_the_steps_themselves(tmp_path, monkeypatch):
    _, plain, losses, _, _ = train(tmp_path / 'plain', graphs=False)
    without_gpu(monkeypatch)
    _, recorded, same, _, replays = train(tmp_path / 'graphs', graphs=True)
    assert len(replays) == 4  # with and without a generator step, sparse and dense
    assert sum(replays) == 24 - 4
    assert same == losses
    for state in (plain, recorded):  # forms of Adam's state are the hook's business
        for name in ('generator', 'discriminator'):
            state['optimizer'][name] = state['optimizer'][name]['state']
        state['thresholds'] = {n: s['state'] for n, s in state['thresholds'].items()}
    assert_same(recorded, plain)


def test_checkpoints_go_on_without_the_hook(tmp_path, monkeypatch):
    _, plain, _, _, _ = train(tmp_path / 'plain', graphs=False)
    with monkeypatch.context() as patch:
        without_gpu(patch)
        train(tmp_path / 'graphs', graphs=True)
    start = str(tmp_path / 'graphs' / 'iter_12.pth')
    groups = torch.load(start, weights_only=False)['optimizer']['generator']['param_groups']
    assert [(g['capturable'], g['fused']) for g in groups] == [(False, True)]
    _, resumed, _, _, _ = train(tmp_path / 'resumed', graphs=False, load_from=start, resume=True)
    assert_same(resumed, plain)


def test_a_step_that_draws_on_the_host_is_taken_as_it_is(tmp_path, monkeypatch):
    without_gpu(monkeypatch)
    from mmagic.models import GGAN

    def drawing(self, disc_pred_fake, disc_pred_real):
        torch.rand(1)
        return loss(self, disc_pred_fake, disc_pred_real)

    loss = GGAN.disc_loss
    monkeypatch.setattr(GGAN, 'disc_loss', drawing)
    runner, _, losses, records, _ = train(
        tmp_path, graphs=True, **{'train_cfg.max_iters': 8, 'model.discriminator_steps': 10}
    )
    assert len(losses) == 8
    assert len(records.having('draws random numbers on the host')) == 1
    assert 'train_step' not in vars(runner.model)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'optim_wrapper.generator.clip_grad': dict(max_norm=1.0)}, 'clips or accumulates'),
        (
            {'optim_wrapper.generator.optimizer': dict(_delete_=True, type='RMSprop', lr=1e-3)},
            'is RMSprop, not Adam',
        ),
        ({'model.ema_config': dict(_delete_=True, type='RampUpEMA')}, 'the average is RampUpEMA'),
        (
            {'baseline_hooks': dict(balance=dict(type='BalanceRatioHook'))},
            'BalanceRatioHook makes some steps differ',
        ),
    ],
)
def test_why_steps_are_not_recorded(tmp_path, monkeypatch, changes, reason):
    without_gpu(monkeypatch)
    config = tiny_config(tmp_path, **{**SETTINGS, 'train_cfg.max_iters': 4, **changes})
    take_hooks(config, 'CudaGraphHook')
    runner = Runner.from_cfg(config)
    records = Records(runner)
    runner.train()
    assert len(records.having(reason)) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('kind', ['graphs', 'graphs of a keep ratio', 'images', 'losses'])
def test_on_a_gpu_each_part_trains_as_without_it(tmp_path, kind):
    part = {
        'graphs': 'CudaGraphHook',
        'graphs of a keep ratio': 'CudaGraphHook',
        'images': 'ResidentImagesHook',
        'losses': 'DeferredLossesHook',
    }[kind]
    exact = {'randomness.deterministic': True, 'env_cfg.cudnn_benchmark': False}
    if 'keep ratio' in kind:  # lambda changes at each validation
        exact.update({'DynamicPruningHook.lam': None, 'DynamicPruningHook.keep_ratio': 0.5})
    ends = []
    for hooks in ([], [part]):
        config = tiny_config(tmp_path / str(len(hooks)), **{**SETTINGS, **exact})
        take_hooks(config, *hooks)
        runner = Runner.from_cfg(config)
        end, records = Snapshot(), Records(runner)
        runner.register_hook(end)
        runner.train()
        assert not records.having('not recorded') + records.having('stay where they are')
        ends.append((end.end, losses_logged(tmp_path / str(len(hooks)))))
    (plain, logged), (fast, logged_fast) = ends
    assert logged == logged_fast
    for name, value in plain['model'].items():
        torch.testing.assert_close(fast['model'][name], value.to(fast['model'][name].device))


def losses_logged(folder):
    """Losses of all logged iterations."""
    (path,) = folder.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in row.items() if 'loss' in k or k == 'step'} for row in rows]


def test_named_twice_it_is_refused(tmp_path):
    config = tiny_config(tmp_path, **SETTINGS)
    take_hooks(config, 'CudaGraphHook', 'CudaGraphHook')
    with pytest.raises(ConfigError, match='CudaGraphHook'):
        Runner.from_cfg(config).train()
