"""Two processes, stopped and resumed, end where two uninterrupted ones end."""

import os

import pytest
import torch
from gloo_runs import needs_cpu
from mmengine.hooks import Hook
from processes import run_together
from tiny import tiny_runner

from rggan_mm.training.hook_base import unwrap

pytestmark = [needs_cpu, pytest.mark.slow]
OPTIONS = {
    'launcher': 'pytorch',
    'train_cfg__max_iters': 6,
    'train_cfg__val_interval': 6,
    'train_dataloader__num_workers': 1,
    'default_hooks__checkpoint__interval': 3,
    'DynamicPruningHook__lam': 1.0,
    'DynamicPruningHook__lr': 0.05,
    'DynamicPruningHook__mode': 'ste',
}


class Seen(Hook):
    """Keeps what each iteration got and drew, and the weights at the end."""

    def before_train(self, runner):
        self.images, self.draws = {}, {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.images[runner.iter] = torch.stack([s.gt_img for s in data_batch['data_samples']])
        self.draws[runner.iter] = torch.rand(1)
        # On the CPU batch norms are not synchronised; a checkpoint holds those of rank 0.
        self.weights = {
            name: value.clone()
            for name, value in unwrap(runner.model).state_dict().items()
            if 'running_' not in name
        }


def one_run(folder, **changes):
    runner = tiny_runner(folder, **OPTIONS, **changes)
    seen = Seen()
    runner.register_hook(seen)
    runner.train()
    return vars(seen)


def stop_and_go_on(rank, folder):
    os.environ['LOCAL_RANK'] = str(rank)
    whole = one_run(folder / 'whole')
    start = str(folder / 'whole' / 'iter_3.pth')
    resumed = one_run(folder / 'resumed', resume=True, load_from=start)
    torch.save((whole, resumed), folder / f'{rank}.pth')


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('together')
    run_together(stop_and_go_on, folder, world=2)
    return [torch.load(folder / f'{rank}.pth', weights_only=False) for rank in range(2)]


def test_each_process_gets_draws_and_ends_as_without_the_stop(ranks):
    for whole, resumed in ranks:
        assert sorted(resumed['images']) == [3, 4, 5]
        for i, images in resumed['images'].items():
            assert torch.equal(images, whole['images'][i])
            assert torch.equal(resumed['draws'][i], whole['draws'][i])
        assert whole['weights'].keys() == resumed['weights'].keys()
        for name, value in whole['weights'].items():
            assert torch.equal(value, resumed['weights'][name]), name


def test_processes_have_images_and_draws_of_their_own(ranks):
    (first, _), (second, _) = ranks
    for i in range(6):
        assert not torch.equal(first['images'][i], second['images'][i])
        assert not torch.equal(first['draws'][i], second['draws'][i])
