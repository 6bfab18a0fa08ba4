"""Runs on this machine, with a sleeping process in place of a training."""

import os
import signal
import subprocess
import sys

import pytest
from tiny_study import write_study

from rggan_mm.analysis.study import local_runs, read_study
from rggan_mm.analysis.study.local_runs import note_end, run_here
from rggan_mm.analysis.study.lock import HELD
from rggan_mm.analysis.study.plan import read_record, write_record

SLEEP = [sys.executable, '-c', 'import time; time.sleep(600)']


@pytest.fixture
def started(monkeypatch):
    """The processes that were started."""
    processes = []

    def start(folder, env=None):
        processes.append(subprocess.Popen(SLEEP))
        return processes[-1]

    monkeypatch.setattr(local_runs, 'start', start)
    return processes


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGHUP'])
def test_a_signal_ends_the_processes(started, tmp_path, name):
    number = getattr(signal, name)
    run = read_study(write_study(tmp_path), tmp_path / 'w').runs[0]
    before = signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            run_here([run], 1, lambda active, ended: os.kill(os.getpid(), number))
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert [process.returncode for process in started] == [-signal.SIGTERM]
    assert run.record()['state'] == 'stopped'


def test_under_nohup_a_closed_terminal_stops_nothing(started, tmp_path):
    run = read_study(write_study(tmp_path), tmp_path / 'w').runs[0]

    def follow(active, ended):
        os.kill(os.getpid(), signal.SIGHUP)
        started[0].kill()

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run_here([run], 1, follow)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.record()['error'] == 'ended by signal 9'


def test_a_process_that_found_the_folder_locked_changes_no_record(tmp_path):
    write_record(tmp_path, state='running')
    note_end(tmp_path, HELD)
    assert read_record(tmp_path) == {'state': 'running'}
