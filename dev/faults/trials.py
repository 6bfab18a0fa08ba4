"""Trials: a run meets a fault, resumes, and must end where the uninterrupted run ends."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mmengine.config import Config

from rggan_mm.errors import ConfigError

from .fault_kinds import FAULTS, kill, trouble_with_name
from .run_differences import differences
from .runs import Run, checkpoints, iteration_of, start, whole

SECOND_KILL = 0.3  # chance that the resumed run is killed too, and again


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
        fault: Name of the fault.
        hit: Whether it struck as it was meant to.
        resumes: How often the run was started again.
        trouble: Why it did not survive; empty if it did.
    """

    fault: str
    hit: bool
    resumes: int
    trouble: str


class FaultTest:
    """Trials of one config against its uninterrupted run.

    Args:
        config: What to train; a run of a few seconds.
        folder: Where the runs go; those of trials that did not survive stay there.

    Raises:
        ConfigError: The uninterrupted run fails.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.reference = folder / 'uninterrupted' / 'run'
        self.iterations = config.train_cfg.max_iters
        self.last = f'iter_{self.iterations}.pth'
        run = self._start(self.reference)
        if run.wait() != 0 or differences(self.reference, self.reference, self.last):
            raise ConfigError(f'the uninterrupted run failed: see {run.log}')

    def trial(self, number: int, fault: str, random: Random) -> Result:
        """Runs one trial.

        Args:
            number: Names its folder.
            fault: A key of :data:`FAULTS`.
            random: Draws the moment and the damage.
        """
        folder = self.folder / f'trial_{number}' / 'run'
        run = self._start(folder)
        strike = FAULTS[fault](run, random, self.iterations)
        resumes, trouble = 0, strike.trouble
        while not trouble:
            resumes += 1
            again = random.random() < SECOND_KILL
            run, trouble = self._resume(folder, random if again else None)
            if not again:
                break
        trouble = trouble or self._judge(run)
        if not trouble:
            shutil.rmtree(folder.parent)
        return Result(fault, strike.hit, resumes, trouble)

    def _start(self, folder: Path, resume: bool = False) -> Run:
        folder.mkdir(parents=True, exist_ok=True)
        return start(self.config, folder, resume)

    def _resume(self, folder: Path, killer: Random | None) -> tuple[Run, str]:
        """Starts a run again; says what is wrong with where it goes on."""
        saved = checkpoints(folder)
        good = [iteration_of(path) for path in whole(saved)]
        damaged = trouble_with_name(folder)  # by the fault, until the run saves again
        run = self._start(folder, resume=True)
        trouble = ''
        if killer is not None:
            struck = kill(run, killer, self.iterations)
            trouble = '' if damaged else struck.trouble
        else:
            run.wait()
        return run, trouble or _check_resume(run, good, [iteration_of(path) for path in saved])

    def _judge(self, run: Run) -> str:
        """Why a run that should have ended well did not; empty if it did."""
        if run.process.exitcode != 0:
            return f'exit status {run.process.exitcode}: {run.output().splitlines()[-1:]}'
        left = [path.name for path in run.folder.glob('.writing-*')]
        if left:
            return f'left behind: {left}'
        wrong = differences(run.folder, self.reference, self.last)
        return f'differs in {len(wrong)} places: {", ".join(wrong[:5])}' if wrong else ''


def _check_resume(run: Run, good: list[int], saved: list[int]) -> str:
    """Compares where a run went on with what had been saved."""
    at, newest = run.resumed_at(), max(good, default=0)
    killed_before = run.process.exitcode < 0 and at == 0
    if at != newest and not killed_before:
        return f'went on from iteration {at}, {newest} had been saved'
    if 0 < at < max(saved) and f'going on from {run.folder}' not in run.output():
        return 'fell back to an older checkpoint without a warning'
    return ''
