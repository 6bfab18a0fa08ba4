"""The lock in a run's folder, against a second process."""

import os
import subprocess
import sys

import pytest

from rggan_mm.analysis.study.lock import LOCK, holder, locked

pytest.importorskip('fcntl')

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], 'a')
fcntl.flock(file, fcntl.LOCK_EX)
print('process 1 on here', file=file, flush=True)
print('held', flush=True)
time.sleep(600)
"""


def test_the_lock_dies_with_its_process(tmp_path):
    command = [sys.executable, '-c', HOLD, tmp_path / LOCK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == 'held\n'
        with locked(tmp_path) as free:
            assert not free
        assert holder(tmp_path) == 'process 1 on here'
    finally:
        process.kill()
        process.communicate()
    assert holder(tmp_path) is None
    with locked(tmp_path) as free:
        assert free
        assert holder(tmp_path).startswith(f'process {os.getpid()} on ')


def test_asking_leaves_nothing_behind(tmp_path):
    assert holder(tmp_path) is None
    assert not (tmp_path / LOCK).exists()
    with locked(tmp_path):
        assert holder(tmp_path)
    assert holder(tmp_path) is None
