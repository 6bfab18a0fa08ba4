"""Runs in mixed precision, on whatever device this machine has."""

import pytest
import torch
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny import hook_of, tiny_config

from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.discovery import trained_sparse_networks
from rggan_mm.training.mixed_precision import takes_float16, use_mixed_precision

HALF = {'bf16': torch.bfloat16, 'fp16': torch.float16}
needs_float16 = pytest.mark.skipif(
    get_device() == 'cpu' and not takes_float16(),
    reason='float16 and loss scales on the CPU: PyTorch 2.3 and later',
)
PRECISIONS = ['bf16', pytest.param('fp16', marks=needs_float16)]
# Layers lose weights within a few iterations.
FAST = {'DynamicPruningHook__lam': 1.0, 'DynamicPruningHook__lr': 2e-3}


def amp_runner(folder, precision=None, count=1, scale=None, **changes):
    """A tiny runner of the digits config.

    Args:
        folder: Where it writes.
        precision: 'bf16', 'fp16' or None for float32.
        count: Backward passes of an optimiser step.
        scale: The loss scale, where it is not the precision's own.
        **changes: As for :func:`tiny.tiny_config`.
    """
    config = tiny_config(folder, **{**FAST, **changes})
    # One validation, at the end: some hooks want a metric.
    config.train_cfg.val_interval = config.train_cfg.max_iters
    for name in ('generator', 'discriminator'):
        wrapper = config.optim_wrapper[name]
        wrapper.accumulative_counts = count
        if scale is not None:
            wrapper.loss_scale = scale
    if precision:
        use_mixed_precision(config, precision)
    return Runner.from_cfg(config)


def state_of(runner, name):
    """What an optimiser step of a network would change."""
    network = trained_sparse_networks(runner.model)[name]
    pruning = hook_of(runner, DynamicPruningHook)
    return {
        'weights': [p.detach().clone() for p in network.network.parameters()],
        'adam': _copied(runner.optim_wrapper[name].optimizer.state_dict()['state']),
        'thresholds': _copied(pruning.optimizers[name].state_dict()['state']),
        'kept': network.keep_ratios(),
        'sparse': network.sparse,
        'guard': network.guard_counts(),
    }


def _copied(state):
    return {k: {n: v.clone() for n, v in entry.items()} for k, entry in state.items()}


class StepSpy(Hook):
    """Keeps thresholds and their gradients at each step of the thresholds' own Adam."""

    def before_train(self, runner):
        self.steps = {}
        for name, optimizer in hook_of(runner, DynamicPruningHook).optimizers.items():
            self.steps[name] = seen = []
            thresholds = list(optimizer.network.thresholds.values())
            optimizer.adam.register_step_pre_hook(
                lambda *_, t=thresholds, s=seen: s.append([(p.detach().clone(), p.grad) for p in t])
            )


__all__ = [
    'FAST',
    'HALF',
    'PRECISIONS',
    'StepSpy',
    'amp_runner',
    'needs_float16',
    'state_of',
]
