"""A run that was stopped and resumed ends where the uninterrupted run ends, bit for bit."""

import json

import pytest
import torch
from mmengine.hooks import Hook
from run_state import Snapshot, assert_same
from tiny import DIGITS, tiny_runner

ITERATIONS = 8
OPTIONS = {
    'train_cfg.max_iters': ITERATIONS,
    'train_cfg.val_interval': 1,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.checkpoint.max_keep_ckpts': -1,
    # Thresholds fast enough to prune, and for the guard to act, within a few iterations.
    'DynamicPruningHook.lam': 1.0,
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


def histories(folder):
    """The files of evaluations."""
    return [
        json.loads((folder / name).read_text())
        for name in ('evaluations.json', 'phase_history.json')
    ]


@pytest.mark.parametrize(
    ('mode', 'workers', 'iterations'),
    [('published', 0, range(1, ITERATIONS)), ('ste', 0, [2, 5]), ('published', 2, [3, 6])],
)
def test_resumed_anywhere_a_run_ends_as_the_uninterrupted_one(tmp_path, mode, workers, iterations):
    options = {'DynamicPruningHook.mode': mode, 'train_dataloader.num_workers': workers}
    whole, seen = train(tmp_path / 'whole', **options)
    phases = [record['sparse'] for record in histories(tmp_path / 'whole')[1]]
    assert len(set(phases)) == 2
    assert sum(map(len, whole['guard'].values())) > 0
    for iteration in iterations:
        folder = tmp_path / str(iteration)
        start = str(tmp_path / 'whole' / f'iter_{iteration}.pth')
        resumed, rest = train(folder, load_from=start, resume=True, **options)
        assert sorted(rest.images) == list(range(iteration, ITERATIONS))
        for i, images in rest.images.items():
            assert torch.equal(images, seen.images[i])
            assert torch.equal(rest.draws[i], seen.draws[i])
        assert_same(resumed, whole)
        assert histories(folder) == histories(tmp_path / 'whole')


def test_training_again_does_not_validate_again(tmp_path):
    runner = tiny_runner(tmp_path, **OPTIONS)
    runner.train()
    runner.train()
    assert [record['iter'] for record in histories(tmp_path)[0]] == list(range(1, ITERATIONS + 1))
