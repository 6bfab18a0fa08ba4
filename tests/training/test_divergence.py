"""A run whose losses or weights are not finite stops, or goes back."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from families import family_runner
from family_walk import differences, family_params, state_of
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import CheckpointLoader
from run_state import snapshot
from tiny import ROOT, Records, tiny_runner
from torch.utils._python_dispatch import TorchDispatchMode

from rggan_mm.commands.command_line import run as run_command
from rggan_mm.errors import ConfigError, DivergedError
from rggan_mm.hooks.discovery import trained_sparse_networks
from rggan_mm.training.divergence import DivergenceHook
from rggan_mm.training.finite import SKIPPED_STEPS, LossWatch, patience_of

DENSE = ROOT / 'configs' / 'sngan_digits_10pct.py'
SELDOM = {'train_cfg.val_interval': 3, 'default_hooks.logger.interval': 100}


class Plant(Hook):
    """Puts a value into the first parameter of a network, ahead of one iteration."""

    priority = 'HIGHEST'

    def __init__(self, network, before, times=1, value=math.nan):
        self.network, self.before, self.times, self.value = network, before, times, value

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.before and self.times:
            self.times -= 1
            parameter = next(getattr(runner.model, self.network).parameters())
            parameter.data.view(-1)[0] = self.value


class Keeping(Hook):
    """Keeps the state at each start, after each iteration, and what was drawn there."""

    priority = 'LOWEST'

    def __init__(self):
        self.starts, self.after, self.draws = [], {}, []

    def before_train(self, runner):
        self.starts.append((runner.iter, full_state(runner)))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.draws.append((runner.iter + 1, torch.rand(3).tolist()))
        if len(self.starts) == 1:
            self.after[runner.iter + 1] = full_state(runner)


def full_state(runner):
    """All that a rollback must bring back."""
    rates = dict(runner.optim_wrapper.get_lr())
    rg = snapshot(runner) if trained_sparse_networks(runner.model) else {}
    return {**state_of(runner), **rg, 'rates': rates}


def watched(runner, *hooks, rollback=0):
    """Gives a runner the hook, and others."""
    mine = [hook for hook in runner.hooks if isinstance(hook, DivergenceHook)]
    if mine:
        mine[0].rollback = rollback
    else:
        runner.register_hook(DivergenceHook(rollback))
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def stopped(runner):
    """The message with which a training ends."""
    with pytest.raises(DivergedError) as caught:
        runner.train()
    message = str(caught.value)
    assert '\n' not in message
    return message


def saved_states(folder):
    """The weights in all checkpoints of a folder, by file name."""
    return {
        path.name: CheckpointLoader.load_checkpoint(str(path), 'cpu')['state_dict']
        for path in folder.glob('*.pth')
    }


def all_finite(state):
    return all(value.isfinite().all() for value in state.values() if value.is_floating_point())


@pytest.mark.parametrize('network', ['generator', 'discriminator'])
def test_a_bad_weight_stops_the_run_at_the_iteration(tmp_path, network):
    runner = watched(tiny_runner(tmp_path, **SELDOM), Plant(network, before=4))
    message = stopped(runner)
    assert message.startswith('training diverged at iteration 5: loss_disc_fake is nan; weights')
    assert f' in {network} (' in message
    assert f'last good checkpoint: {tmp_path / "iter_4.pth"}; try a lower lr' in message
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_4.pth')
    states = saved_states(tmp_path)
    assert 'iter_4.pth' in states
    assert all(map(all_finite, states.values()))


def test_weights_that_no_loss_sees_are_found_before_they_are_saved(tmp_path):
    runner = tiny_runner(tmp_path, DENSE, **{**SELDOM, 'train_cfg.val_interval': 6})
    message = stopped(watched(runner, Plant('generator_ema', before=2, value=math.inf)))
    assert message.startswith(
        'training diverged at iteration 4: weights that are not finite: 1 in generator_ema (module.'
    )
    states = saved_states(tmp_path)
    assert list(states) == ['iter_2.pth']
    assert all_finite(states['iter_2.pth'])


def test_they_are_found_before_a_validation(tmp_path):
    runner = tiny_runner(tmp_path, DENSE, **{**SELDOM, 'default_hooks.checkpoint.interval': 4})
    message = stopped(watched(runner, Plant('generator_ema', before=2)))
    assert message.startswith('training diverged at iteration 3: weights')
    assert not (tmp_path / 'samples').exists()


def test_a_learning_rate_without_measure_diverges_and_the_budget_ends(tmp_path):
    rates = {f'optim_wrapper.{n}.optimizer.lr': 1e18 for n in ('generator', 'discriminator')}
    runner = watched(tiny_runner(tmp_path, DENSE, **SELDOM, **rates), rollback=2)
    records = Records(runner)
    message = stopped(runner)
    assert 'loss_disc_fake is nan' in message
    assert ' in discriminator (' in message
    assert 'rollback above 2 (2 done)' in message
    assert len(records.having('going back to')) == 2
    assert '(1 of 2 rollbacks)' in records.having('going back to')[0]


def test_what_an_earlier_run_left_is_no_checkpoint_of_this_one(tmp_path):
    watched(tiny_runner(tmp_path, DENSE, **SELDOM, train_cfg__max_iters=3)).train()
    assert (tmp_path / 'iter_3.pth').exists()
    runner = tiny_runner(tmp_path, DENSE, **SELDOM)
    message = stopped(watched(runner, Plant('generator', before=0), rollback=5))
    assert 'last good checkpoint: none saved yet' in message
    assert runner.iter == 0


def go_back_and_end(folder, **options):
    keeping = Keeping()
    plant = Plant('discriminator', before=5)
    runner = watched(tiny_runner(folder, **{**SELDOM, **options}), plant, keeping, rollback=1)
    records = Records(runner)
    runner.train()
    return runner, keeping, records


def test_a_rollback_goes_on_with_other_random_numbers(tmp_path):
    runner, keeping, records = go_back_and_end(tmp_path / 'a')
    (line,) = records.having('going back to')
    assert line.startswith('DivergenceHook: training diverged at iteration 6: ')
    assert line.endswith('(1 of 1 rollbacks)')
    assert [start for start, _ in keeping.starts] == [0, 4]
    assert differences(keeping.after[4], keeping.starts[1][1]) == []
    assert [iteration for iteration, _ in keeping.draws] == [1, 2, 3, 4, 5, 5, 6]
    assert keeping.draws[4] != keeping.draws[5]
    assert runner.iter == 6
    assert all_finite(runner.model.state_dict())
    saved = CheckpointLoader.load_checkpoint(str(tmp_path / 'a' / 'iter_6.pth'), 'cpu')
    assert saved['rggan_mm']['DivergenceHook'] == {'rolled_back': 1}
    again, _, _ = go_back_and_end(tmp_path / 'b')
    assert differences(dict(runner.model.state_dict()), dict(again.model.state_dict())) == []


def test_each_evaluation_is_kept_once(tmp_path):
    go_back_and_end(tmp_path, **{'train_cfg.val_interval': 2})
    for name in ('evaluations.json', 'phase_history.json'):
        records = json.loads((tmp_path / name).read_text())
        assert [record['iter'] for record in records] == [2, 4, 6], name


def test_each_rollback_draws_other_numbers(tmp_path):
    keeping = Keeping()
    plant = Plant('discriminator', before=5, times=2)
    runner = watched(tiny_runner(tmp_path, DENSE, **SELDOM), plant, keeping, rollback=2)
    runner.train()
    fifth = [draw for iteration, draw in keeping.draws if iteration == 5]
    assert len(fifth) == len(set(map(tuple, fifth))) == 3


def test_the_count_of_rollbacks_comes_back(tmp_path):
    go_back_and_end(tmp_path)
    runner = tiny_runner(tmp_path, **SELDOM, resume=True, train_cfg__max_iters=8)
    message = stopped(watched(runner, Plant('generator', before=7), rollback=1))
    assert f'checkpoint: {tmp_path / "iter_6.pth"}' in message
    assert 'rollback above 1 (1 done)' in message


GOING_BACK = ['pggan', 'stylegan2', 'singan', 'cyclegan']


@pytest.mark.parametrize('name', family_params(GOING_BACK, representative=['pggan']))
def test_families_go_back(tmp_path, name):
    keeping = Keeping()
    networks = 's' if name == 'cyclegan' else ''
    plant = Plant(f'generator{networks}', before=5)
    runner = watched(family_runner(name, tmp_path), plant, keeping, rollback=1)
    runner.train()
    assert [start for start, _ in keeping.starts] == [0, 4]
    assert differences(keeping.after[4], keeping.starts[1][1]) == []
    fifth = [draw for iteration, draw in keeping.draws if iteration == 5]
    assert len(fifth) == len(set(map(tuple, fifth))) == 2
    assert runner.iter == 6
    assert all_finite(runner.model.state_dict())


def test_epochs_go_back(tmp_path):
    epochs = {
        'train_cfg': dict(by_epoch=True, max_epochs=3, val_interval=3, _delete_=True),
        'custom_hooks': [],
        'train_dataloader.sampler.type': 'DefaultSampler',
        'train_dataloader.dataset.data_ratio': 16 / 1437,
        'default_hooks.checkpoint.by_epoch': True,
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.logger.interval': 100,
        'log_processor.by_epoch': True,
    }
    keeping = Keeping()
    runner = tiny_runner(tmp_path, DENSE, **epochs)
    watched(runner, Plant('generator_ema', before=3), keeping, rollback=1).train()
    assert [start for start, _ in keeping.starts] == [0, 2]
    assert (runner.epoch, runner.iter) == (3, 6)
    assert all_finite(runner.model.state_dict())


def test_checkpoints_elsewhere_stay_in_their_folder(tmp_path):
    elsewhere = {'default_hooks.checkpoint.out_dir': str(tmp_path / 'elsewhere')}
    runner = tiny_runner(tmp_path / 'run', DENSE, **SELDOM, **elsewhere)
    watched(runner, Plant('generator', before=5), rollback=1).train()
    assert {path.parent for path in tmp_path.rglob('*.pth')} == {tmp_path / 'elsewhere' / 'run'}
    assert (tmp_path / 'elsewhere' / 'run' / 'iter_6.pth').exists()


def test_weights_to_start_from_must_be_finite(tmp_path):
    runner = watched(tiny_runner(tmp_path, DENSE, **SELDOM))
    bias = runner.model.discriminator.decision.bias
    runner.model.init_weights = lambda: torch.nn.init.constant_(bias, math.inf)
    with pytest.raises(ConfigError, match=r'1 in discriminator \(decision\.bias\), before the fir'):
        runner.train()


@pytest.mark.parametrize('value', [-1, 1.5, True, '2'])
def test_rollback_is_a_number(value):
    with pytest.raises(ConfigError, match=r'rollback=.* must be an integer >= 0'):
        DivergenceHook(value)


def test_commands_end_in_one_line(capsys):
    def command():
        raise DivergedError('training diverged', 'last good checkpoint: none saved yet')

    assert run_command(command) == 1
    assert capsys.readouterr().err == (
        'error: training diverged; last good checkpoint: none saved yet\n'
    )


def test_a_bad_loss_counts_at_once_and_its_part_is_named():
    watch = LossWatch()
    watch.see(3, {'loss': 1.0, 'loss_gen': 0.5})
    assert watch.found is None
    watch.see(4, {'loss': math.inf, 'loss_gen': math.inf})
    watch.see(5, {'loss': 1.0, 'loss_gen': math.nan})
    assert watch.found == (4, 'loss_gen is inf')


def test_with_a_loss_scale_only_many_bad_losses_in_a_row_count():
    watch = LossWatch(patience=3)
    for iteration, value in enumerate([math.inf, math.inf, 1.0, math.inf, math.nan]):
        watch.see(iteration, {'loss_r1_gp': value, 'loss_gen': 1.0})
    assert watch.found is None
    watch.see(7, {'loss_gen': 1.0})  # this step has no gradient penalty
    watch.see(8, {'loss_r1_gp': math.inf})
    assert watch.found == (3, 'loss_r1_gp is inf')


@pytest.mark.parametrize(
    ('enabled', 'accumulated', 'expected'), [(False, 4, 1), (True, 4, 4 * SKIPPED_STEPS)]
)
def test_patience_follows_the_loss_scale(enabled, accumulated, expected):
    scaler = SimpleNamespace(is_enabled=lambda: enabled)
    wrapper = SimpleNamespace(loss_scaler=scaler, _accumulative_counts=accumulated)
    assert patience_of(wrapper) == expected


class CountingReads(TorchDispatchMode):
    """Counts what would make the host wait for the device."""

    reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.reads += str(func).startswith(('aten._local_scalar_dense', 'aten.nonzero'))
        return func(*args, **(kwargs or {}))


def test_looking_at_losses_reads_nothing_from_the_device():
    hub = MessageHub.get_instance('divergence_reads')
    outputs = {'loss': torch.tensor(2.0), 'loss_gen': torch.tensor(1.0), 'curr_scale': 4}
    runner = SimpleNamespace(iter=6, max_iters=100, hooks=[], message_hub=hub)
    hook = DivergenceHook()
    with CountingReads() as counter:
        for name, value in outputs.items():
            hub.update_scalar(f'train/{name}', value)
    assert counter.reads == 2  # MMEngine's
    with CountingReads() as counter:
        hook.after_train_iter(runner, 0, outputs=outputs)
    assert counter.reads == 0
