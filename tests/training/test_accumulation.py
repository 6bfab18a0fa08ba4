"""Gradient accumulation: one regulariser and one step, however many backward passes."""

import pytest
import torch
from amp_runs import StepSpy, amp_runner, needs_float16
from mmengine.hooks import Hook
from run_state import Snapshot, assert_same
from tiny import hook_of

from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.discovery import trained_sparse_networks
from rggan_mm.training.pending_gradients import pending

pytestmark = pytest.mark.slow

BATCH, STEPS = 8, 3
LAM = 1e-3
# Unlike Adam's, steps of SGD show how large a gradient is.
SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05), _delete_=True)
PLAIN = {'model__discriminator_steps': 1, 'model__discriminator__with_spectral_norm': False}
COMPARED = {
    **PLAIN,
    'optim_wrapper__generator': SGD,
    'optim_wrapper__discriminator': SGD,
    'train_dataloader__sampler__seed': 3,
    # Thresholds of every size, and no division by a gradient that is nearly 0.
    'DynamicPruningHook__lr': 0.05,
    'DynamicPruningHook__lam': LAM,
    'DynamicPruningHook__eps': 1e-2,
}


class OneStream(Hook):
    """Noise in the order of the images, and batch norms that do not look at the batch."""

    def before_run(self, runner):
        self.rest = torch.randn(64 * BATCH, 32, generator=torch.Generator().manual_seed(5))
        runner.model.noise_fn = self.draw

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        runner.model.generator.eval()

    def draw(self, *_, num_batches, **__):
        batch, self.rest = self.rest[:num_batches], self.rest[num_batches:]
        return batch


def train(folder, count, mode):
    """Three optimiser steps of each network on the same images and noise."""
    changes = {
        **COMPARED,
        'train_cfg__max_iters': STEPS * count,
        'train_dataloader__batch_size': BATCH // count,
        'DynamicPruningHook__mode': mode,
    }
    runner = amp_runner(folder / f'{mode}_{count}', count=count, **changes)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.register_hook(OneStream())
    runner.train()
    return before, runner.model.state_dict()


@pytest.mark.parametrize('count', [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_parts_of_a_batch_are_the_whole_batch(tmp_path, mode, count):
    before, whole = train(tmp_path, 1, mode)
    _, parts = train(tmp_path, count, mode)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=2e-6, msg=name)
    for name in ('discriminator.decision.weight', 'generator.to_rgb.conv.weight'):
        assert (whole[name] - before[name]).abs().max() > 1e-3, name
    thresholds = torch.cat([v for n, v in whole.items() if n.endswith('threshold')])
    assert thresholds.abs().max() > 1e-3


@pytest.mark.parametrize(
    ('count', 'precision'),
    [(2, None), (3, 'bf16'), pytest.param(4, 'fp16', marks=needs_float16)],
)
def test_the_regulariser_enters_once_a_step(tmp_path, count, precision):
    changes = {**PLAIN, 'train_cfg__max_iters': STEPS * count, 'DynamicPruningHook__lam': LAM}
    scale = dict(init_scale=8.0) if precision == 'fp16' else None
    runner = amp_runner(tmp_path, precision, count, scale, **changes)
    spy = StepSpy()
    runner.register_hook(spy)
    runner.train()
    for name in ('generator', 'discriminator'):
        assert len(spy.steps[name]) == STEPS
        for step in spy.steps[name]:
            for threshold, gradient in step:
                assert torch.equal(gradient, torch.exp(-threshold) * -LAM)
    # The average counts steps too. Phases count iterations, as max_iters does.
    assert runner.model.generator_ema.steps == STEPS


@pytest.mark.parametrize('count', [2, 3])
def test_pruned_weights_rest_through_all_passes_of_a_step(tmp_path, count):
    """Published: the raw gradient is masked with the one mask that all passes had."""

    class Raised(Hook):
        def before_train(self, runner):
            self.network = trained_sparse_networks(runner.model)['discriminator']
            for threshold in self.network.thresholds.values():
                threshold.data.fill_(0.05)
            self.before = [layer.info.stored.clone() for layer in self.network.layers.values()]

    raised = Raised()
    still = {'train_cfg__max_iters': 2 * count, 'DynamicPruningHook__lr': 0.0}
    runner = amp_runner(tmp_path, 'bf16', count, **{**PLAIN, **still})
    runner.register_hook(raised)
    runner.train()
    assert raised.network.pruned_count() > 100
    for (name, layer), before in zip(raised.network.layers.items(), raised.before, strict=True):
        pruned, weight = before.abs() <= 0.05, layer.info.stored
        assert torch.equal(weight[pruned], before[pruned]), name
        assert not torch.equal(weight, before), name


def test_the_collapse_guard_acts_between_the_passes_of_a_step(tmp_path):
    class Collapse(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.network = trained_sparse_networks(runner.model)['discriminator']
            if runner.iter == 0:
                self.name, layer = next(iter(self.network.layers.items()))
                layer.threshold.data.fill_(10.0)

    collapse, spy = Collapse(), StepSpy()
    changes = {**PLAIN, 'train_cfg__max_iters': 2, 'DynamicPruningHook__lam': LAM}
    runner = amp_runner(tmp_path, count=2, **changes)
    for hook in (collapse, spy):
        runner.register_hook(hook)
    runner.train()
    assert collapse.network.guard_counts() == {collapse.name: 1}
    (step,) = spy.steps['discriminator']
    threshold, gradient = step[list(collapse.network.layers).index(collapse.name)]
    assert (threshold == 0).all()
    assert torch.equal(gradient, torch.full_like(gradient, -LAM))


def test_task_gradients_of_all_passes_reach_the_thresholds(tmp_path):
    """Estimated gradients wait for the step, and are gone after it."""

    class Waiting(Hook):
        def before_train(self, runner):
            self.waits = []

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            network = hook_of(runner, DynamicPruningHook).optimizers['discriminator'].network
            self.waits.append({t.grad is not None for t in network.thresholds.values()})

    waiting = Waiting()
    changes = {'train_cfg__max_iters': 4, 'DynamicPruningHook__mode': 'ste'}
    runner = amp_runner(tmp_path, 'bf16', 2, **{**PLAIN, **changes})
    runner.register_hook(waiting)
    runner.train()
    assert waiting.waits == [{True}, {False}] * 2


@pytest.mark.parametrize('mode', ['published', 'ste'])
@pytest.mark.parametrize(
    'precision', [None, pytest.param('fp16', marks=[needs_float16, pytest.mark.slow])]
)
def test_a_run_stopped_between_two_passes_ends_where_it_would_have_ended(tmp_path, precision, mode):
    """Checkpoints come every second iteration, steps every third."""
    snapshots = {}
    for name, iterations in (('whole', 9), ('parts', 4), ('parts', 9)):
        changes = {**PLAIN, 'train_cfg__max_iters': iterations, 'DynamicPruningHook__mode': mode}
        changes['resume'] = name == 'parts' and iterations == 9
        scale = dict(init_scale=8.0) if precision else None
        runner = amp_runner(tmp_path / name, precision, 3, scale, **changes)
        snapshots[name] = Snapshot()
        runner.register_hook(snapshots[name])
        runner.train()
    for part in ('model', 'optimizer', 'thresholds'):
        assert_same(snapshots['whole'].end[part], snapshots['parts'].end[part], part)


def test_a_run_that_accumulates_nothing_saves_no_gradients(tmp_path):
    runner = amp_runner(tmp_path, 'bf16')
    runner.train()
    assert pending(runner)['gradients'] == {}
    assert pending(runner)['counts']['discriminator'] == 6
