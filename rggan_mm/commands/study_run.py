"""Trains one run of a study: python -m rggan_mm.commands.study_run FOLDER.

``tools/study.py`` starts it, here or on a cluster. The folder holds the config; the run goes on
where it was stopped, and notes in ``study_run.json`` how far it is and where it was made.
"""

import signal
import sys
import time
from pathlib import Path

from rggan_mm.analysis.environment import environment
from rggan_mm.analysis.study.lock import HELD, holder, locked
from rggan_mm.analysis.study.plan import CONFIG, read_record, write_record

from .command_line import run
from .configs import read_config
from .running import train_checked


def train(folder: Path) -> None:
    """Trains, or goes on.

    Args:
        folder: The run's folder.
    """
    config = read_config(str(folder / CONFIG))
    config.work_dir = str(folder)
    if (folder / 'last_checkpoint').exists():
        config.resume, config.load_from = True, None
    started, before = time.monotonic(), read_record(folder).get('seconds', 0.0)
    write_record(folder, state='running', environment=environment())
    state = 'failed'
    try:
        train_checked(config)
        state = 'done'
    except SystemExit:  # PreemptionHook has saved the run
        state = 'stopped'
        raise
    finally:
        seconds = before + time.monotonic() - started
        write_record(folder, state=state, seconds=round(seconds, 1))


def main() -> int:
    """Trains; 1 with one line when the config is bad, HELD when a process is at it already."""
    if hasattr(signal, 'SIGUSR2'):  # by which SLURM tells the job that starts this process
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    with locked(folder) as free:
        if free:
            return run(lambda: train(folder))
    sys.stderr.write(f'error: {folder}: {holder(folder)} trains this run already\n')
    return HELD


if __name__ == '__main__':
    sys.exit(main())
