"""The fault test: what it lets through and what it does not."""

import shutil
import sys
from random import Random

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from tiny import DIGITS
from tool_modules import load_tool

from dev.faults.fault_kinds import FAULTS, trouble_with_name
from dev.faults.run_differences import differences
from dev.faults.trials import FaultTest
from rggan_mm.errors import ConfigError

pytestmark = pytest.mark.slow

SHORT = [
    '--cfg-options',
    'train_cfg.max_iters=8',
    'train_cfg.val_interval=4',
    'default_hooks.checkpoint.interval=2',
]


@pytest.fixture(scope='module')
def fault_test():
    return load_tool('fault_test')


@pytest.fixture
def command(fault_test, monkeypatch, capsys):
    """Runs the command; its status and what it says."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['fault_test.py', *map(str, arguments)])
        status = fault_test.main()
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_a_run_survives_two_faults(command, tmp_path):
    faults = ['kill -9 while saving', 'bit flipped in newest']
    arguments = ['--trials', 2, '--work-dir', tmp_path, *SHORT, '--faults', *faults]
    status, table, said = command(*arguments)
    assert status == 0, said
    assert '2 trials' in table
    assert [fault for fault in faults if fault in table] == faults
    assert [path.name for path in tmp_path.iterdir()] == ['uninterrupted']


@pytest.mark.slow
def test_a_run_that_does_not_resume_exactly_does_not_survive(command, tmp_path):
    config = tmp_path / 'inexact.py'
    config.write_text(f"_base_ = [{str(DIGITS)!r}]\ncustom_hooks = [dict(type='DataCheckHook')]\n")
    status, _, said = command(
        '--trials', 1, '--config', config, '--work-dir', tmp_path / 'runs',
        '--faults', 'newest checkpoint cut short', *SHORT,
        'model.generator.base_channels=4', 'model.discriminator.base_channels=4',
        'train_dataloader.batch_size=8', 'val_evaluator.metrics.0.fake_nums=20',
        'train_dataloader.dataset.serialize_data=False',
        'val_dataloader.dataset.serialize_data=False',
    )  # fmt: skip
    assert status == 1
    assert 'trial 0 (newest checkpoint cut short): differs in' in said
    assert (tmp_path / 'runs' / 'trial_0' / 'run').is_dir()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--trials', 0], '--trials 0 must be at least 1'),
        (['--config', 'gone.py'], 'config=gone.py: there is no such file'),
        (['--cfg-options', 'train_cfg.max_iters=-1'], 'the uninterrupted run failed: see'),
    ],
)
def test_bad_input_is_one_line(command, arguments, message):
    status, _, said = command(*arguments)
    assert status == 1
    (line,) = said.splitlines()
    assert line.startswith('error: ')
    assert message in line


def test_every_fault_is_drawn_in_turn(fault_test, monkeypatch, tmp_path):
    drawn = []

    class Recorder:
        def __init__(self, config, folder):
            pass

        def trial(self, number, fault, random):
            drawn.append((fault, random.random()))
            return fault_test.Result(fault, True, 1, '')

    monkeypatch.setattr(fault_test, 'FaultTest', Recorder)
    monkeypatch.setattr(sys, 'argv', ['fault_test.py', '--trials', '12'])
    args = fault_test.parse_args()
    fault_test.run_trials(args, tmp_path)
    assert [fault for fault, _ in drawn] == 2 * list(FAULTS)
    assert len({moment for _, moment in drawn}) == 12


def state(weight=1.0, fid=2.0):
    return {
        'state_dict': {'w': torch.tensor([weight, float('nan')])},
        'meta': {'time': np.random.rand(), 'iter': 4},
        'message_hub': {'log_scalars': {'train/loss': HistoryBuffer([fid], [1])}},
    }


@pytest.fixture
def two_runs(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        torch.save(state(), tmp_path / name / 'iter_4.pth')
        (tmp_path / name / 'evaluations.json').write_text('[{"iter": 4, "fid": NaN}]')
    return tmp_path / 'a', tmp_path / 'b'


def test_equal_runs_are_equal_but_for_the_clock(two_runs):
    assert differences(*two_runs, 'iter_4.pth') == []


@pytest.mark.parametrize(
    ('change', 'place'),
    [
        ({'weight': 1.0000001}, 'state_dict.w'),
        ({'fid': 2.5}, 'message_hub.log_scalars.train/loss._log_history'),
    ],
)
def test_the_smallest_difference_is_named(two_runs, change, place):
    torch.save(state(**change), two_runs[0] / 'iter_4.pth')
    assert differences(*two_runs, 'iter_4.pth') == [place]


def test_so_are_other_histories_and_a_missing_checkpoint(two_runs):
    (two_runs[0] / 'evaluations.json').write_text('[]')
    assert differences(*two_runs, 'iter_4.pth') == ['evaluations.json']
    assert differences(*two_runs, 'iter_5.pth') == ['no iter_5.pth']


def test_a_name_of_what_is_not_whole_is_trouble(two_runs):
    folder = two_runs[0]
    assert trouble_with_name(folder) == ''
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_4.pth'))
    assert trouble_with_name(folder) == ''
    (folder / 'iter_4.pth').write_bytes(b'half')
    assert 'iter_4.pth, not whole' in trouble_with_name(folder)
    (folder / 'iter_4.pth').unlink()
    assert 'iter_4.pth, not whole' in trouble_with_name(folder)


@pytest.mark.slow
def test_a_fault_that_loses_a_save_does_not_pass(fault_test, tmp_path, monkeypatch):
    """A resume that starts anew although checkpoints are there is told."""
    monkeypatch.setattr('rggan_mm.training.runner.find_latest_checkpoint', lambda *places: None)
    monkeypatch.setattr(sys, 'argv', ['fault_test.py', *SHORT])
    test = FaultTest(fault_test.load_config(fault_test.parse_args()), tmp_path)
    result = test.trial(0, 'newest checkpoint cut short', Random(0))
    assert 'went on from iteration 0' in result.trouble
    shutil.rmtree(tmp_path / 'trial_0')


def test_an_uninterrupted_run_that_fails_is_named(fault_test, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['fault_test.py', '--cfg-options', 'train_cfg.max_iters=-1'])
    with pytest.raises(ConfigError, match=r'uninterrupted run failed: see .*run_0\.log'):
        FaultTest(fault_test.load_config(fault_test.parse_args()), tmp_path)
