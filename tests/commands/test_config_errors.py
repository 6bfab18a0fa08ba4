"""What libraries raise while a run is built becomes one line; mistakes in code do not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from tiny import tiny_config
from torch.utils.data import DataLoader, Dataset

from rggan_mm.commands.config_errors import errors_of_config
from rggan_mm.commands.running import NEEDED, train_checked, try_first_images
from rggan_mm.errors import ConfigError

# What the line begins with, what else it names, and the changes to the config.
WRONG = [
    ('model.data_preprocessor:', 'GBR', {'model.data_preprocessor.output_channel_order': 'GBR'}),
    # Raised in a block that the config does not name.
    ('model.generator:', 'num_classes', {'model.generator.use_cbn': True}),
    ('model.generator:', 'SNGANGenerater', {'model.generator.type': 'SNGANGenerater'}),
    ('model.generator:', 'base_chanels', {'model.generator.base_chanels': 4}),
    ('train_dataloader.dataset:', 'data_ration', {'train_dataloader.dataset.data_ration': 0.1}),
    ('train_dataloader:', 'batchsize', {'train_dataloader.batchsize': 3}),
    ('val_dataloader:', 'KeyError', {'val_dataloader.dataset.pipeline': []}),
    ('randomness:', 'sead', {'randomness.sead': 1}),
    ('the first iteration:', 'RuntimeError', {'model.generator.out_channels': 1}),
    ('custom_hooks.0:', 'rows=0', {'custom_hooks': [dict(type='SampleGridHook', rows=0)]}),
    ('optim_wrapper', 'learning_rate', {'optim_wrapper.generator.optimizer.learning_rate': 1}),
]


@pytest.mark.parametrize(('field', 'named', 'changes'), WRONG)
def test_the_line_names_the_part_of_the_config(tmp_path, field, named, changes):
    config = tiny_config(tmp_path, train_cfg__max_iters=1, train_cfg__val_interval=1)
    config.merge_from_dict(changes)
    with pytest.raises(ConfigError) as caught:
        train_checked(config)
    message = str(caught.value)
    assert message.startswith(field)
    assert named in message
    assert '\n' not in message
    assert caught.value.__cause__ is not None


def test_a_loop_that_does_not_fit_the_evaluator_is_refused_before_training(tmp_path):
    config = tiny_config(tmp_path)
    del config.val_cfg['type']
    with pytest.raises(ConfigError, match=r'^val_cfg: ValLoop'):
        train_checked(config)


@pytest.mark.parametrize('name', NEEDED)
def test_nothing_to_train_is_refused(tmp_path, name):
    config = tiny_config(tmp_path)
    config[name] = None
    with pytest.raises(ConfigError, match=f'^{name} is missing'):
        train_checked(config)


def test_trying_the_first_image_changes_nothing(tmp_path):
    configs = [
        tiny_config(tmp_path / name, train_cfg__max_iters=2, train_cfg__val_interval=2)
        for name in ('checked', 'plain')
    ]
    checked, plain = train_checked(configs[0]), Runner.from_cfg(configs[1])
    plain.train()
    weights = checked.model.state_dict()
    for name, weight in plain.model.state_dict().items():
        assert torch.equal(weight, weights[name]), name


class Untouched(Dataset):
    """A data set of a validation that makes its images of noise."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.read.append(index)
        return {}


def test_images_that_no_metric_reads_are_left_alone(tmp_path):
    metric = dict(type='GANMetrics', values=['fid'], fake_nums=4, extractor='digits')
    stats = tmp_path / 'real.npz'
    np.savez(stats, mu=np.zeros(64), sigma=np.eye(64))
    config = tiny_config(
        tmp_path, val_evaluator=dict(metrics=[dict(metric, real_stats=str(stats))])
    )
    runner = Runner.from_cfg(config)
    images = Untouched()
    runner.val_loop.dataloaders[0] = DataLoader(images)
    try_first_images(runner)
    assert images.read == []


def test_the_traceback_is_there_for_who_asks(tmp_path, monkeypatch):
    monkeypatch.setenv('RGGAN_TRACEBACK', '1')
    config = tiny_config(tmp_path)
    config.model.data_preprocessor.output_channel_order = 'GBR'
    with pytest.raises(AssertionError):
        train_checked(config)


@HOOKS.register_module()
class FailsInIteration(Hook):
    """A hook of a user's own with a mistake, or with an error of MMEngine's."""

    def __init__(self, iteration, library=False):
        self.iteration, self.library = iteration, library

    def after_train_iter(self, runner, *_, **__):
        if runner.iter != self.iteration:
            return
        if self.library:
            runner.build_evaluator(7)
        raise ZeroDivisionError('mine')


def train_with(tmp_path, hook):
    config = tiny_config(tmp_path, train_cfg__max_iters=3, train_cfg__val_interval=3)
    config.custom_hooks = [*config.custom_hooks, dict(type='FailsInIteration', **hook)]
    train_checked(config)


def test_a_mistake_in_a_users_code_keeps_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError, match='mine'):
        train_with(tmp_path, dict(iteration=0))


def test_after_the_first_iteration_nothing_is_the_configs_fault(tmp_path):
    with pytest.raises(TypeError, match='evaluator should be'):
        train_with(tmp_path, dict(iteration=1, library=True))


def test_an_exception_of_our_own_code_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr('rggan_mm.hooks.sample_grid.MOST_ROWS', None)
    with pytest.raises(ConfigError, match='TypeError') as caught:
        train_checked(tiny_config(tmp_path))
    assert '\n' not in str(caught.value)


def test_files_that_are_not_there_are_named():
    with (
        pytest.raises(ConfigError, match=r'there is no /nowhere/x; --dataroot names the images'),
        errors_of_config({}),
    ):
        Path('/nowhere/x').read_bytes()
