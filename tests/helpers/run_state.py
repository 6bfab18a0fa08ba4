"""Everything that a run consists of, copied and compared."""

import copy

import torch
from mmengine.hooks import Hook
from tiny import hook_of

from rggan_mm.hooks import DenseMergeHook, RegenerationHook
from rggan_mm.hooks.discovery import sparse_networks
from rggan_mm.hooks.sparse_hook import SparseHook, StoredMaskHook


class Snapshot(Hook):
    """Copies everything that must come back, when training starts and ends."""

    priority = 'LOWEST'

    def before_train_epoch(self, runner):  # a resumed run may begin with a validation
        self.start = snapshot(runner)

    def after_train(self, runner):
        self.end = snapshot(runner)


def snapshot(runner):
    """State of a run: weights, phases, optimisers, histories, counters."""
    networks = sparse_networks(runner.model)
    state = {
        'model': {k: v.clone() for k, v in runner.model.state_dict().items()},
        'optimizer': copy.deepcopy(runner.optim_wrapper.state_dict()),
        'sparse': {name: network.sparse for name, network in networks.items()},
    }
    pruning = hook_of(runner, SparseHook) if networks else None
    if isinstance(pruning, StoredMaskHook):
        state['masks'] = copy.deepcopy(pruning.state_dict())
    elif pruning:
        state['thresholds'] = {
            name: copy.deepcopy(opt.adam.state_dict()) for name, opt in pruning.optimizers.items()
        }
        state['lam'] = {name: opt.lam for name, opt in pruning.optimizers.items()}
        state['corrections'] = pruning.state_dict()['corrections']
        merge = hook_of(runner, DenseMergeHook)
        state['history'] = list(merge.history.records)
        state['rule'] = merge.rule.state_dict()
        state['guard'] = copy.deepcopy(hook_of(runner, RegenerationHook).counts)
    return state


def assert_same(ours, theirs, where=''):
    """Compares nested state exactly."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), where
        for key in ours:
            assert_same(ours[key], theirs[key], f'{where}/{key}')
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), where
        for i, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same(*pair, f'{where}/{i}')
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), where
    else:
        assert ours == theirs, where
