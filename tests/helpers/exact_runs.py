"""Short runs of the digits that prune and change phases, to stop and resume."""

import torch
from mmengine.hooks import Hook
from run_state import Snapshot
from tiny import DIGITS, tiny_runner

ITERATIONS = 8
OPTIONS = {
    'train_cfg.max_iters': ITERATIONS,
    'train_cfg.val_interval': 1,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.checkpoint.max_keep_ckpts': -1,
    # Thresholds fast enough to prune, and for the guard to act, within a few iterations.
    'DynamicPruningHook.lam': 1.0,
    'DynamicPruningHook.keep_ratio': None,
    'DynamicPruningHook.lr': 0.05,
    'RegenerationHook.min_keep': 0.5,
    'rg_hooks.dense_merge.weights': (0.5, 0.5),
}


class Seen(Hook):
    """Keeps what each iteration got and drew."""

    def before_train(self, runner):
        self.images, self.draws = {}, {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        images = [sample.gt_img for sample in data_batch['data_samples']]
        self.images[runner.iter] = torch.stack(images)
        self.draws[runner.iter] = torch.rand(1)


def train(folder, path=DIGITS, **overrides):
    """Trains; returns the end of the run and what it saw."""
    runner = tiny_runner(folder, path, **{**OPTIONS, **overrides})
    end, seen = Snapshot(), Seen()
    for hook in (end, seen):
        runner.register_hook(hook)
    runner.train()
    return end.end, seen
