"""RG-GAN under autocast and a loss scale, through a stock trainer."""

import math

import pytest
import torch
from amp_runs import HALF, PRECISIONS, amp_runner, needs_float16, state_of
from mmengine.hooks import Hook
from run_state import Snapshot, assert_same
from tiny import hook_of

from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.discovery import trained_sparse_networks

pytestmark = pytest.mark.slow

SCALE = 8.0
NETWORKS = ('generator', 'discriminator')
# Spectral norm turns its vectors in every forward, and masks with them.
PLAIN = {'model__discriminator_steps': 1, 'model__discriminator__with_spectral_norm': False}


class Dtypes(Hook):
    """Keeps the dtypes with which pruned layers compute, training and evaluating."""

    def before_train(self, runner):
        self.weights, self.outputs = set(), {True: set(), False: set()}
        for network in trained_sparse_networks(runner.model).values():
            for layer in network.layers.values():
                layer.info.module.register_forward_hook(self._look)

    def _look(self, module, args, output):
        self.outputs[torch.is_grad_enabled()].add(output.dtype)


class Planting(Hook):
    """Makes a network's gradient infinite in chosen iterations; keeps states around one."""

    def __init__(self, name, iterations, around):
        self.name, self.iterations, self.around = name, iterations, around

    def before_train(self, runner):
        network = trained_sparse_networks(runner.model)[self.name]
        layer = list(network.layers.values())[-1]
        layer.info.stored.register_hook(
            lambda grad: grad * math.inf if runner.iter in self.iterations else grad
        )

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.around[0]:
            self.before = {name: state_of(runner, name) for name in NETWORKS}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.around[1]:
            self.after = {name: state_of(runner, name) for name in NETWORKS}
            self.scales = {n: w.loss_scaler.get_scale() for n, w in runner.optim_wrapper.items()}
            networks = trained_sparse_networks(runner.model).values()
            self.left = [t.grad for net in networks for t in net.thresholds.values()]


def keep_and_thresholds(runner):
    return {
        name: (network.keep_ratio(), network.threshold_mean())
        for name, network in trained_sparse_networks(runner.model).items()
    }


@pytest.mark.parametrize('mode', ['published', 'ste'])
@pytest.mark.parametrize('precision', PRECISIONS)
def test_layers_compute_in_half_and_all_that_is_kept_is_float32(tmp_path, precision, mode):
    runner = amp_runner(tmp_path, precision, DynamicPruningHook__mode=mode)
    dtypes = Dtypes()
    runner.register_hook(dtypes)
    runner.train()
    assert dtypes.outputs[True] == {HALF[precision]}
    kept = [p.dtype for p in runner.model.parameters()]
    for wrapper in runner.optim_wrapper.values():
        kept += [v.dtype for s in wrapper.optimizer.state.values() for v in s.values()]
    for optimizer in hook_of(runner, DynamicPruningHook).optimizers.values():
        kept += [v.dtype for s in optimizer.adam.state.values() for v in s.values()]
    assert set(kept) == {torch.float32}


@pytest.mark.parametrize('mode', ['published', 'ste'])
@pytest.mark.parametrize('precision', PRECISIONS)
def test_masks_are_those_of_the_float32_weight(tmp_path, precision, mode):
    """A mask of weights that were rounded first would differ where |W| is near t."""
    runner = amp_runner(tmp_path, precision, DynamicPruningHook__mode=mode, **PLAIN)
    runner.train()
    network = trained_sparse_networks(runner.model)['discriminator']
    for layer in network.layers.values():
        sizes = layer.info.stored.detach().abs().flatten(1)
        layer.threshold.data.copy_(sizes.median(dim=1).values)
    images = torch.zeros(2, 3, 16, 16, device=runner.model.device)
    with runner.optim_wrapper['discriminator'].optim_context(runner.model.discriminator):
        runner.model.discriminator(images)
    for name, layer in network.layers.items():
        shape = [-1] + [1] * (layer.info.stored.ndim - 1)
        expected = layer.info.stored.abs() > layer.threshold.view(shape)
        assert torch.equal(layer.mask, expected), name
    assert network.keep_ratio() < 1


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['published', 'ste'])
@pytest.mark.parametrize('precision', PRECISIONS)
def test_keep_ratios_match_float32(tmp_path, precision, mode):
    found = []
    for name in (None, precision):
        scale = None if name in (None, 'bf16') else SCALE
        changes = {'train_cfg__max_iters': 30, 'DynamicPruningHook__mode': mode}
        runner = amp_runner(tmp_path / str(name), name, scale=scale, **changes)
        runner.train()
        found.append(keep_and_thresholds(runner))
    for network in NETWORKS:
        (full, threshold), (half, other) = (values[network] for values in found)
        assert full < 0.97, network
        assert half == pytest.approx(full, rel=0.01), network
        if mode == 'published':  # the regulariser's gradient is added unscaled
            assert other == pytest.approx(threshold, rel=1e-6)


@needs_float16
@pytest.mark.parametrize('mode', ['published', 'ste'])
@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('name', NETWORKS)
def test_a_skipped_step_leaves_everything_as_it_was(tmp_path, name, count, mode):
    """Also when the gradient was infinite in the first of two backward passes only."""
    start = 2 * count
    planting = Planting(name, {start}, around=(start, start + count - 1))
    settings = {'train_cfg__max_iters': start + 2 * count, 'DynamicPruningHook__mode': mode}
    if name == 'generator':  # its passes all belong to the iteration of the last of D
        planting.iterations = {start + count - 1}
    runner = amp_runner(tmp_path, 'fp16', count, scale=dict(init_scale=SCALE), **settings, **PLAIN)
    runner.register_hook(planting)
    runner.train()
    (other,) = set(NETWORKS) - {name}
    for part in ('weights', 'adam', 'thresholds', 'sparse', 'guard'):
        assert_same(planting.before[name][part], planting.after[name][part], part)
    assert planting.scales == {name: SCALE / 2, other: SCALE}
    assert planting.left == [None] * len(planting.left)
    assert not same(planting.before[other]['weights'], planting.after[other]['weights'])
    end = state_of(runner, name)
    assert not same(planting.after[name]['weights'], end['weights'])
    assert not same(planting.after[name]['thresholds'][0], end['thresholds'][0])
    assert all(torch.isfinite(value).all() for value in end['weights'])


def same(ours, theirs):
    try:
        assert_same(ours, theirs)
    except AssertionError:
        return False
    return True


@needs_float16
def test_a_skipped_step_leaves_masks_as_they_were(tmp_path):
    """Masks of the forward after it: weights and thresholds did not move in between."""
    masks = {}

    class Masks(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            network = trained_sparse_networks(runner.model)['discriminator']
            masks[runner.iter] = [layer.mask.clone() for layer in network.layers.values()]

    settings = {'train_cfg__max_iters': 10, 'model__discriminator_steps': 100}
    runner = amp_runner(tmp_path, 'fp16', scale=dict(init_scale=SCALE), **{**PLAIN, **settings})
    for hook in (Planting('discriminator', {7}, around=(7, 7)), Masks()):
        runner.register_hook(hook)
    runner.train()
    assert same(masks[7], masks[8])
    assert not same(masks[6], masks[7])
    assert not same(masks[8], masks[9])


@needs_float16
def test_a_reset_of_the_collapse_guard_stays_when_the_step_is_skipped(tmp_path):
    """It belongs to the forward: without it the next one would reset the layer again."""

    class Collapse(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.network = trained_sparse_networks(runner.model)['discriminator']
            if runner.iter == 2:
                self.name, layer = next(iter(self.network.layers.items()))
                layer.threshold.data.fill_(10.0)

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 2:
                self.thresholds = self.network.thresholds[self.name].detach().clone()

    collapse = Collapse()
    runner = amp_runner(tmp_path, 'fp16', scale=dict(init_scale=SCALE), **PLAIN)
    for hook in (collapse, Planting('discriminator', {2}, around=(2, 2))):
        runner.register_hook(hook)
    runner.train()
    assert (collapse.thresholds == 0).all()
    assert collapse.network.guard_counts() == {collapse.name: 1}


def resumed(folder, first, then, **settings):
    """A run of four iterations in one precision that goes on in another; both snapshots."""
    snapshots = []
    for precision, iterations in ((first, 4), (then, 6)):
        changes = {'train_cfg__max_iters': iterations, 'resume': iterations > 4}
        scale = settings.get('scale') if precision == 'fp16' else None
        runner = amp_runner(folder, precision, scale=scale, **changes)
        snapshots.append(Snapshot())
        runner.register_hook(snapshots[-1])
        runner.train()
    return snapshots


@needs_float16
def test_a_resumed_run_keeps_the_loss_scale(tmp_path):
    growing = dict(init_scale=SCALE, growth_interval=2)
    first, second = resumed(tmp_path, 'fp16', 'fp16', scale=growing)
    assert first.end['optimizer']['discriminator']['loss_scaler']['scale'] == 4 * SCALE
    for part in ('model', 'optimizer', 'thresholds'):
        assert_same(first.end[part], second.start[part], part)


@pytest.mark.parametrize(
    ('first', 'then'),
    [
        (None, 'bf16'),
        ('bf16', None),
        pytest.param('bf16', 'fp16', marks=needs_float16),
        pytest.param('fp16', 'bf16', marks=needs_float16),
    ],
)
def test_a_run_goes_on_in_another_precision(tmp_path, first, then):
    ours, theirs = resumed(tmp_path, first, then)
    for part in ('model', 'thresholds'):
        assert_same(ours.end[part], theirs.start[part], part)
    assert not same(theirs.start['model'], theirs.end['model'])


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_on_a_gpu_masks_are_made_of_float32(tmp_path, precision):
    """Spectral norm's matrix products are in half there; what it divides is not."""
    dtypes = set()

    class Weights(Hook):
        def before_train(self, runner):
            for network in trained_sparse_networks(runner.model).values():
                for layer in network.layers.values():
                    masked = layer.masked
                    layer.masked = lambda w, m=masked: (dtypes.add(w.dtype), m(w))[1]

    runner = amp_runner(tmp_path, precision)
    runner.register_hook(Weights())
    runner.train()
    assert dtypes == {torch.float32}
