"""Losses that are read at the log interval: the same log."""

import json
import math

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny import hook_of, take_hooks, tiny_config

from rggan_mm.errors import DivergedError
from rggan_mm.training import DeferredLossesHook, deferred_losses

ITERATIONS = 7  # the last ones are between two log intervals


@pytest.fixture
def deferred(monkeypatch):
    """Lets the hook take losses on the CPU for losses on a GPU."""
    monkeypatch.setattr(
        deferred_losses, '_is_on_gpu', lambda value: isinstance(value, torch.Tensor)
    )


class History(Hook):
    """Keeps the history of a loss that a checkpoint would hold."""

    def after_train(self, runner):
        self.losses = runner.message_hub.get_scalar('train/loss').data[0].tolist()
        self.counts = runner.message_hub.get_scalar('train/loss').data[1].tolist()


class Seen(Hook):
    """Keeps the names of what hooks after the reading ones get."""

    priority = 'LOWEST'

    def __init__(self):
        self.names = set()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.names |= set(outputs)


class Bad(Hook):
    """Makes the loss of one iteration bad."""

    priority = 'HIGHEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.last = runner.iter
        if runner.iter == 2:
            step = type(runner.model).disc_loss
            runner.model.disc_loss = lambda *a: _bad(step(runner.model, *a))
        else:
            vars(runner.model).pop('disc_loss', None)


def _bad(result):
    loss, log_vars = result
    return loss, {**log_vars, 'loss_disc_fake': log_vars['loss_disc_fake'] * math.nan}


def train(folder, hooks, *more, **overrides):
    changes = {'train_cfg.max_iters': ITERATIONS, 'train_cfg.val_interval': 3, **overrides}
    config = tiny_config(folder, **changes)
    take_hooks(config, *hooks)
    runner = Runner.from_cfg(config)
    for hook in more:
        runner.register_hook(hook)
    runner.train()
    return runner


def logged(folder):
    (path,) = folder.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in row.items() if 'loss' in k or k == 'step'} for row in rows]


def test_the_log_and_the_history_are_the_same(tmp_path, deferred):
    plain, late, seen, none = History(), History(), Seen(), Seen()
    train(tmp_path / 'plain', [], plain, seen)
    train(tmp_path / 'late', ['DeferredLossesHook'], late, none)
    assert 'loss' in seen.names
    assert not none.names  # nobody could read them in their iteration
    assert logged(tmp_path / 'late') == logged(tmp_path / 'plain')
    assert late.losses == plain.losses
    assert late.counts == plain.counts
    assert len(late.losses) == ITERATIONS


def test_checkpoints_hold_what_was_not_logged_yet(tmp_path, deferred):
    for name, hooks in (('plain', []), ('late', ['DeferredLossesHook'])):
        changes = {
            'logger.interval': 100,
            'checkpoint.interval': 3,
            'checkpoint.max_keep_ckpts': -1,
        }
        train(tmp_path / name, hooks, **{f'default_hooks.{k}': v for k, v in changes.items()})
    hubs = [
        torch.load(tmp_path / name / 'iter_3.pth', weights_only=False)['message_hub']
        for name in ('plain', 'late')
    ]
    histories = [hub['log_scalars']['train/loss'].data[0].tolist() for hub in hubs]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 3


def test_a_bad_loss_is_named_with_its_own_iteration(tmp_path, deferred):
    bad = Bad()
    changes = {'logger.interval': 6, 'checkpoint.interval': 5}
    changes = {f'default_hooks.{name}': value for name, value in changes.items()}
    with pytest.raises(DivergedError, match='iteration 3'):
        train(tmp_path, ['DeferredLossesHook'], bad, **changes, **{'train_cfg.val_interval': 7})
    assert bad.last == 4  # it ran on until a checkpoint was due, which is not saved
    assert not list(tmp_path.glob('iter_*.pth'))


def test_on_the_cpu_nothing_is_deferred(tmp_path):
    runner = train(tmp_path, ['DeferredLossesHook'])
    assert hook_of(runner, DeferredLossesHook).take(runner) == []
