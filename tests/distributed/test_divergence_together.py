"""A process that diverges ends, or takes back, the run of all."""

import math

import pytest
import torch
import torch.distributed as dist
from gloo_runs import needs_cpu, runner_of
from mmengine.hooks import CheckpointHook, Hook
from processes import run_together
from tiny import hook_of

from rggan_mm.errors import DivergedError
from rggan_mm.training.divergence import DivergenceHook

pytestmark = [needs_cpu, pytest.mark.slow]
WORLD = 2
SETTINGS = {
    'default_hooks__logger__interval': 100,
    'train_cfg__val_interval': 6,
}


class OneBadLoss(Hook):
    """An infinite loss in one process only, once."""

    priority = 'HIGHEST'

    def __init__(self):
        self.left = 1
        self.starts, self.draws = [], []

    def before_train(self, runner):
        self.starts.append(runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.draws.append(torch.rand(1).item())
        if runner.rank == 1 and runner.iter == 2 and self.left:
            self.left = 0
            outputs['loss_disc_fake'] = torch.tensor(math.inf)


def prepared(folder, rank, rollback):
    runner = runner_of(folder, rank, WORLD, **SETTINGS)
    hook_of(runner, CheckpointHook).interval = 2
    mine = [hook for hook in runner.hooks if isinstance(hook, DivergenceHook)]
    for hook in mine:
        hook.rollback = rollback
    bad = OneBadLoss()
    for hook in [bad] if mine else [bad, DivergenceHook(rollback)]:
        runner.register_hook(hook)
    return runner, bad


def stop(rank, folder):
    runner, _ = prepared(folder, rank, rollback=0)
    with pytest.raises(DivergedError) as caught:
        runner.train()
    message = str(caught.value)
    assert message.startswith('training diverged at iteration 3: loss_disc_fake is inf; all wei')
    assert f'last good checkpoint: {folder / "iter_2.pth"};' in message
    # They meet before the next checkpoint.
    assert runner.iter == 3


def test_all_stop_before_the_next_checkpoint(tmp_path):
    run_together(stop, tmp_path, WORLD)
    assert not (tmp_path / 'iter_4.pth').exists()


def go_back(rank, folder):
    runner, bad = prepared(folder, rank, rollback=1)
    runner.train()
    assert bad.starts == [0, 2]
    draws = [None] * WORLD
    dist.all_gather_object(draws, bad.draws)
    # Iterations 1 to 4, then 3 to 6: no number is drawn twice, by nobody.
    assert len({draw for own in draws for draw in own}) == 8 * WORLD


def test_all_go_back_and_draw_apart(tmp_path):
    run_together(go_back, tmp_path, WORLD)
    assert (tmp_path / 'iter_6.pth').exists()
