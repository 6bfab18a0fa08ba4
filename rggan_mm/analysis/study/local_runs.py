"""Runs of a study on this machine, several at a time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch

from .lock import HELD
from .plan import LOG, Run, last_line, write_record

COMMAND = (sys.executable, '-m', 'rggan_mm.commands.study_run')
LOOK = 0.5  # seconds
STOPPING = ('SIGTERM', 'SIGHUP')  # and SIGINT; SIGHUP: the terminal was closed


def run_here(
    runs: Sequence[Run], jobs: int, follow: Callable[[list[Run], list[Run]], None]
) -> None:
    """Trains runs, each in a process of its own; one that fails does not stop the others.

    SIGINT, SIGTERM and SIGHUP are handed on: the processes save themselves and end.

    Args:
        runs: What to train.
        jobs: How many at a time.
        follow: Called now and then with the runs at work and those that have ended.

    Raises:
        KeyboardInterrupt: The processes were told to stop, and have ended.
    """
    waiting, active, ended = list(runs), {}, []
    before = _interrupted_by_signals()
    try:
        while waiting or active:
            for slot in range(jobs):
                if waiting and slot not in active:
                    run = waiting.pop(0)
                    run.prepare()
                    active[slot] = run, start(run.folder, environment_of(slot))
            time.sleep(LOOK)
            for slot, (run, process) in list(active.items()):
                if process.poll() is not None:
                    note_end(run.folder, process.returncode)
                    del active[slot]
                    ended.append(run)
            follow([run for run, _ in active.values()], ended)
    finally:
        for number in before:  # one is enough
            signal.signal(number, signal.SIG_IGN)
        _end(active.values())
        for number, handler in before.items():
            signal.signal(number, handler)


def start(folder: Path, env: dict[str, str] | None = None) -> subprocess.Popen:
    """Starts a run; what it prints goes to a log in its folder.

    Args:
        folder: The run's folder.
        env: Environment variables; None is this process's.
    """
    with (folder / LOG).open('ab') as log:
        # A session of its own: Ctrl-C in the terminal reaches it through this process alone.
        return subprocess.Popen(
            [*COMMAND, str(folder)], stdout=log, stderr=log, env=env, start_new_session=True
        )


def note_end(folder: Path, code: int) -> None:
    """Notes how a run ended that did not end well.

    Args:
        folder: The run's folder.
        code: Exit status of its process; negative for a signal.
    """
    if code == -signal.SIGTERM:  # told to stop before it trained
        write_record(folder, state='stopped')
    elif code and code != HELD:  # what is there is of the process that holds the lock
        error = last_line(folder) if code > 0 else f'ended by signal {-code}'
        write_record(folder, state='failed', error=error)


def environment_of(slot: int) -> dict[str, str]:
    """Environment variables of a process: one GPU, or one thread where there is none."""
    count = torch.cuda.device_count()
    if not count:
        return {'OMP_NUM_THREADS': '1', **os.environ}
    given = os.environ.get('CUDA_VISIBLE_DEVICES')
    devices = given.split(',') if given else [str(i) for i in range(count)]
    return {**os.environ, 'CUDA_VISIBLE_DEVICES': devices[slot % count]}


def _end(active: Iterable[tuple[Run, subprocess.Popen]]) -> None:
    for _, process in active:
        process.terminate()
    for run, process in active:
        note_end(run.folder, process.wait())


def _interrupted_by_signals() -> dict:
    """Lets signals stop a study, except those that it ignores: nohup keeps it running.

    Returns:
        The handlers of before.
    """
    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, _interrupt) for number in heard}


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
