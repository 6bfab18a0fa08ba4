"""A run that is told to end: saved, left with status 0, resumed to the same end."""

import os
import signal

import pytest
import torch
from exact_runs import ITERATIONS, OPTIONS, train
from mmengine.hooks import Hook
from run_state import assert_same
from tiny import Records, tiny_runner

from rggan_mm.errors import ConfigError


class Kill(Hook):
    """Sends signals to the process at an iteration, or within its validation."""

    def __init__(self, number, iteration, validating=False, times=1):
        self.number, self.iteration, self.times = number, iteration, times
        self.validating = validating

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not self.validating and runner.iter + 1 == self.iteration:
            self.send()

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if self.validating and runner.iter == self.iteration:
            self.send()

    def send(self):
        for _ in range(self.times):
            os.kill(os.getpid(), self.number)


def stop(folder, kill, **options):
    """Trains until the signals; returns the runner's messages."""
    runner = tiny_runner(folder, **{**OPTIONS, **options})
    runner.register_hook(kill)
    records = Records(runner)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(SystemExit) as end:
        runner.train()
    assert end.value.code == 0
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert after == before
    return records


@pytest.mark.parametrize(
    ('number', 'times', 'validating', 'workers'),
    [
        ('SIGTERM', 3, False, 0),
        pytest.param('SIGTERM', 1, True, 2, marks=pytest.mark.slow),
        pytest.param('SIGINT', 2, False, 2, marks=pytest.mark.slow),
        ('SIGINT', 1, True, 0),
    ],
)
def test_a_signal_saves_and_the_run_goes_on(tmp_path, number, times, validating, workers):
    options = {'train_dataloader.num_workers': workers, 'default_hooks.checkpoint.interval': 100}
    whole, _ = train(tmp_path / 'whole', **options)
    kill = Kill(getattr(signal, number), 3, validating, times)
    records = stop(tmp_path / 'cut', kill, **options)
    path = tmp_path / 'cut' / 'iter_3.pth'
    (line,) = records.having('PreemptionHook: ')
    assert line == (
        f'PreemptionHook: {number} after iteration 3; saved as {path}; '
        'the same command with --resume goes on from there'
    )
    assert (tmp_path / 'cut' / 'last_checkpoint').read_text() == str(path)
    resumed, seen = train(tmp_path / 'cut', resume=True, **options)
    assert sorted(seen.images) == list(range(3, ITERATIONS))
    assert_same(resumed, whole)


def test_a_checkpoint_that_was_just_saved_is_not_saved_twice(tmp_path):
    records = stop(tmp_path, Kill(signal.SIGTERM, 2), train_cfg__val_interval=8)
    assert len(records.having('Saving checkpoint at 2 iterations')) == 1
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_1.pth', 'iter_2.pth']


def test_signals_after_the_run_are_nobody_s_business(tmp_path):
    runner = tiny_runner(tmp_path, train_cfg__max_iters=1)
    before = signal.getsignal(signal.SIGINT)
    runner.train()
    assert signal.getsignal(signal.SIGINT) is before


def test_sigint_again_after_a_while_interrupts_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr('rggan_mm.training.stop_signals.PATIENCE', 0.0)
    runner = tiny_runner(tmp_path, **OPTIONS)
    runner.register_hook(Kill(signal.SIGINT, 2, times=2))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
        assert runner.iter == 1
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_that_goes_back_stops_all_the_same(tmp_path):
    class Diverge(Hook):
        """Once, in the iteration of the signal."""

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter + 1 == 3:
                os.kill(os.getpid(), signal.SIGTERM)
                with torch.no_grad():
                    next(runner.model.generator.parameters()).fill_(float('nan'))

    runner = tiny_runner(tmp_path, **OPTIONS, **{'DivergenceHook.rollback': 1})
    runner.register_hook(Diverge())
    records = Records(runner)
    with pytest.raises(SystemExit):
        runner.train()
    # Back at the checkpoint of the second, within the validation that is made up for.
    (line,) = records.having('PreemptionHook: ')
    assert line.startswith(f'PreemptionHook: SIGTERM after iteration 2; saved as {tmp_path}')
    assert runner.iter == 2
    assert not (tmp_path / 'iter_3.pth').exists()


def test_without_checkpoints_it_is_refused(tmp_path):
    runner = tiny_runner(tmp_path, default_hooks__checkpoint=None)
    with pytest.raises(ConfigError, match='PreemptionHook: nothing saves checkpoints by iteration'):
        runner.train()
    assert runner.iter == 0
