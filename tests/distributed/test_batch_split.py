"""Two processes with half the batch each do what one process does with all of it."""

import pytest
import torch
from gloo_runs import SharedNoise, needs_cpu, runner_of
from mmengine.hooks import Hook
from processes import run_together

from rggan_mm.training.hook_base import unwrap

pytestmark = [needs_cpu, pytest.mark.slow]
BATCH, NOISE, ITERATIONS, RATE = 8, 32, 4, 0.05
# Unlike Adam's, steps of SGD show how large a gradient is.
SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=RATE), _delete_=True)
SETTINGS = {
    'train_cfg__max_iters': ITERATIONS,
    'train_cfg__val_interval': ITERATIONS,
    'train_dataloader__sampler__seed': 3,
    'model__discriminator_steps': 2,
    'optim_wrapper__generator': SGD,
    'optim_wrapper__discriminator': SGD,
    # Thresholds of every size, and no division by a gradient that is nearly 0.
    'DynamicPruningHook__lr': 0.05,
    'DynamicPruningHook__lam': 1e-3,
    'DynamicPruningHook__eps': 1e-2,
}
MODES = ('published', 'ste')


class FixedNorm(Hook):
    """Lets batch norms use their stored statistics: those of a batch depend on its size."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        unwrap(runner.model).generator.eval()


class Keep(Hook):
    """Keeps the weights before and after training."""

    def before_train(self, runner):
        self.before = weights(runner)

    def after_train(self, runner):
        self.after = weights(runner)


def weights(runner):
    return {name: value.clone() for name, value in unwrap(runner.model).state_dict().items()}


def train(folder, mode, rank, world):
    changes = {**SETTINGS, 'train_dataloader__batch_size': BATCH // world}
    runner = runner_of(folder / mode, rank, world, DynamicPruningHook__mode=mode, **changes)
    noise = torch.randn(100 * BATCH, NOISE, generator=torch.Generator().manual_seed(5))
    keep = Keep()
    for hook in (SharedNoise(noise, rank, world), FixedNorm(), keep):
        runner.register_hook(hook)
    runner.train()
    return keep.before, keep.after


def one_of_two(rank, folder):
    found = {mode: train(folder, mode, rank, 2) for mode in MODES}
    if rank == 0:
        torch.save(found, folder / 'two.pth')


@pytest.fixture(scope='module')
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp('halves')
    run_together(one_of_two, folder, 2)
    return torch.load(folder / 'two.pth', weights_only=True)


@pytest.mark.parametrize('mode', MODES)
def test_two_halves_are_one_whole(halves, mode, tmp_path):
    before, after = train(tmp_path, mode, 0, 1)
    start, end = halves[mode]
    assert before.keys() == end.keys()
    for name, value in after.items():
        assert torch.equal(before[name], start[name]), name
        torch.testing.assert_close(
            end[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f'{name}: {text}'
        )
    for name in ('discriminator.decision.weight_orig', 'generator.to_rgb.conv.weight'):
        assert (after[name] - before[name]).abs().max() > 1e-3, name
    thresholds = torch.cat([v for n, v in after.items() if n.endswith('threshold')])
    assert thresholds.abs().max() > 1e-3
