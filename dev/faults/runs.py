"""Training runs in processes of their own, which can be killed."""

import gc
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from rggan_mm.commands.command_line import run as run_command
from rggan_mm.training.checkpoint_reading import UnusableCheckpointError, read_checkpoint

TIMEOUT = 600
_RESUMED = re.compile(r'resumed epoch: \d+, iter: (\d+)')
_TRAINED = re.compile(r'Iter\(train\) \[ *(\d+)/')
_NUMBER = re.compile(r'iter_(\d+)\.pth')


@dataclass
class Run:
    """A training process.

    Attributes:
        process: The process; it leads a process group of its own.
        folder: Its work dir.
        log: What it writes to the terminal.
    """

    process: BaseProcess
    folder: Path
    log: Path

    def kill(self) -> None:
        """Kills it and its workers (-9)."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()

    def wait(self) -> int | None:
        """Waits for its end.

        Returns:
            The exit status; None if it hangs, and is killed.
        """
        self.process.join(TIMEOUT)
        status = self.process.exitcode
        self.kill()
        return status

    def wait_until(self, ready: Callable[[], bool]) -> bool:
        """Waits for something to happen; False if the run ends before."""
        end = time.monotonic() + TIMEOUT
        while not ready():
            if not self.process.is_alive() or time.monotonic() > end:
                return ready()
            time.sleep(0.0005)
        return True

    def output(self) -> str:
        """What it has written to the terminal."""
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    def trained(self) -> int:
        """The last iteration that its log tells of."""
        return int((_TRAINED.findall(self.output()) or [0])[-1])

    def resumed_at(self) -> int:
        """The iteration that it went on from; 0 when it began at the beginning."""
        found = _RESUMED.search(self.output())
        return int(found[1]) if found else 0


def start(config: Config, folder: Path, resume: bool = False) -> Run:
    """Starts a training process.

    It is forked, so that the libraries are there already.

    Args:
        config: What to train.
        folder: The work dir.
        resume: Whether to go on from its newest checkpoint.
    """
    config = Config(config.to_dict(), filename=config.filename, format_python_code=False)
    config.update(work_dir=str(folder), resume=resume, load_from=None)
    count = len(list(folder.parent.glob('run_*.log')))
    log = folder.parent / f'run_{count}.log'
    sys.stdout.flush()
    process = get_context('fork').Process(target=_train, args=(config, log))
    process.start()
    with suppress(ProcessLookupError):
        os.setpgid(process.pid, process.pid)
    return Run(process, folder, log)


def _train(config: Config, log: Path) -> None:
    sys.stdout = sys.stderr = file = log.open('w', buffering=1)
    for number in (1, 2):  # what libraries write themselves
        os.dup2(file.fileno(), number)
    status = run_command(lambda: Runner.from_cfg(config).train())
    gc.collect()  # stops workers, which the end of a command does and of a fork does not
    sys.exit(status)


def checkpoints(folder: Path) -> list[Path]:
    """The numbered checkpoints of a work dir, the newest last."""
    return sorted(folder.glob('iter_*.pth'), key=iteration_of)


def iteration_of(path: Path) -> int:
    """The number in a checkpoint's name."""
    return int(_NUMBER.fullmatch(path.name)[1])


def whole(paths: list[Path]) -> Iterator[Path]:
    """Those that can be loaded."""
    for path in paths:
        with suppress(UnusableCheckpointError):
            read_checkpoint(str(path), 'cpu')
            yield path
