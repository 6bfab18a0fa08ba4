"""Requests to stop."""

import os
import signal

import pytest
import torch.distributed as dist
from processes import run_together

from rggan_mm.training.stop_signals import Agreement, StopSignals


@pytest.fixture
def signals():
    watched = StopSignals()
    watched.watch()
    yield watched
    watched.release()


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT'])
def test_the_first_signal_is_remembered(signals, name):
    assert signals.received is None
    os.kill(os.getpid(), getattr(signal, name))
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received == name


def test_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    watched = StopSignals()
    watched.watch()
    assert signal.getsignal(signal.SIGTERM) not in before
    watched.release()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_one_process_agrees_with_itself_at_once():
    agreement = Agreement()
    assert [agreement.reached(asked) for asked in (False, True)] == [False, True]
    assert agreement.finish() is False


def step_until_asked(rank, folder):
    """Each process is signalled at a step of its own; writes down where it stops."""
    signals = StopSignals()
    signals.watch()
    agreement = Agreement()
    for step in range(50):
        dist.barrier()  # what training exchanges keeps processes within a step of each other
        if step == 5 + 4 * rank:
            os.kill(os.getpid(), signal.SIGTERM)
        if agreement.reached(signals.received is not None):
            break
    agreement.finish()
    signals.release()
    (folder / str(rank)).write_text(str(step))


def test_all_processes_stop_at_the_same_step(tmp_path):
    run_together(step_until_asked, tmp_path)
    assert [(tmp_path / str(rank)).read_text() for rank in range(3)] == ['6'] * 3
