"""Which runs get a SafeRunner, and what stays MMEngine's own."""

import inspect
from pathlib import Path

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel, BaseModule, MMDistributedDataParallel
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import HOOKS, MODELS
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from tiny import hook_of, tiny_config
from torch.utils.data import TensorDataset

from rggan_mm import plugin
from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.training import SafeCheckpointHook, SafeRunner

PACKAGE = Path(plugin.__file__).parent


class Ours(Runner):
    """A Runner of a user."""


@HOOKS.register_module(name='UsersCheckpointHook')
class UsersCheckpointHook(CheckpointHook):
    """A user's own."""


@MODELS.register_module(name='SafeRunnerTestModel')
class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, inputs, mode='loss'):
        return {'loss': self.layer(inputs).square().mean()}


def plain_config(folder, name, **changes):
    """A run without hooks of this package."""
    config = dict(
        model=dict(type='SafeRunnerTestModel'),
        work_dir=str(folder),
        experiment_name=f'{folder.name}_{name}',
        train_dataloader=dict(
            batch_size=2,
            dataset=TensorDataset(torch.ones(8, 4)),
            sampler=dict(type='InfiniteSampler'),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)),
    )
    return Config({**config, **changes}, format_python_code=False)


def test_a_config_with_our_hooks_gets_it(tmp_path):
    config = tiny_config(tmp_path)
    runner = Runner.from_cfg(config)
    assert type(runner) is SafeRunner
    assert type(hook_of(runner, CheckpointHook)) is SafeCheckpointHook
    assert hook_of(runner, DynamicPruningHook)
    assert 'rg_hooks' in config
    assert config.default_hooks.checkpoint.type == 'CheckpointHook'


def test_a_runner_class_of_a_user_stays_and_gets_the_hooks(tmp_path):
    runner = Ours.from_cfg(tiny_config(tmp_path))
    assert type(runner) is Ours
    assert hook_of(runner, DynamicPruningHook)


def test_other_checkpoint_hooks_stay(tmp_path):
    own = {'default_hooks.checkpoint': dict(type='UsersCheckpointHook', interval=5, by_epoch=False)}
    runner = Runner.from_cfg(tiny_config(tmp_path / 'a', **own))
    assert type(hook_of(runner, CheckpointHook)) is UsersCheckpointHook
    given = CheckpointHook(interval=5, by_epoch=False)
    runner.register_hook(given)
    assert given in runner.hooks
    runner.register_hook(dict(type=CheckpointHook, interval=7, priority='LOWEST'))
    assert (type(runner.hooks[-1]), runner.hooks[-1].interval) == (SafeCheckpointHook, 7)


def test_any_other_config_trains_and_resumes_as_in_mmengine(tmp_path, monkeypatch):
    for name in ('save_checkpoint', 'load_checkpoint', 'load_or_resume', 'wrap_model'):
        monkeypatch.setattr(SafeRunner, name, None)
    first = Runner.from_cfg(plain_config(tmp_path, 'first'))
    first.train()
    assert type(first) is Runner
    assert type(hook_of(first, CheckpointHook)) is CheckpointHook
    longer = dict(by_epoch=False, max_iters=4)
    again = Runner.from_cfg(plain_config(tmp_path, 'again', resume=True, train_cfg=longer))
    again.train()
    assert again.iter == 4
    assert (tmp_path / 'iter_4.pth').exists()


def test_a_checkpoint_of_other_names_loads_nothing_there(tmp_path):
    torch.save({'state_dict': {'backbone.weight': torch.ones(3, 3)}}, tmp_path / 'foreign.pth')
    runner = Runner.from_cfg(
        plain_config(tmp_path, 'foreign', load_from=str(tmp_path / 'foreign.pth'))
    )
    runner.train()
    assert runner.iter == 2


def test_the_door_can_be_closed(tmp_path):
    plugin.close_door()
    try:
        assert inspect.unwrap(Runner.from_cfg.__func__) is Runner.from_cfg.__func__
        assert type(Runner.from_cfg(tiny_config(tmp_path))) is Runner
    finally:
        plugin.open_door()
    assert type(Runner.from_cfg(tiny_config(tmp_path))) is SafeRunner


@pytest.mark.parametrize(
    'function',
    [
        mmengine.runner.runner.save_checkpoint,
        mmengine.runner.runner.find_latest_checkpoint,
        mmengine_checkpoint.load_from_local,
        mmengine_checkpoint.load_from_http,
        mmengine_checkpoint.load_state_dict,
        mmengine.dist.utils._init_dist_pytorch,
        mmengine.runner.amp.autocast,
        AmpOptimWrapper.__init__,
        AmpOptimWrapper.load_state_dict,
        BaseModule.init_weights,
        CheckpointHook.before_train,
        CheckpointHook._save_checkpoint_with_step,
        CheckpointHook._save_best_checkpoint,
        MMDistributedDataParallel.__init__,
        Runner.load_checkpoint,
        Runner.wrap_model,
    ],
    ids=lambda function: function.__qualname__,
)
def test_functions_of_mmengine_are_its_own(function):
    assert not Path(function.__code__.co_filename).is_relative_to(PACKAGE)


def test_so_are_its_loaders():
    for load in CheckpointLoader._schemes.values():
        assert load.__module__.startswith('mmengine.')
