"""What can happen to a training run: each fault strikes a run once and ends it."""

import glob
import resource
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .runs import Run, checkpoints, whole


@dataclass(frozen=True)
class Strike:
    """What a fault did.

    Attributes:
        hit: Whether it struck as it was meant to; it may come too late.
        trouble: What should not have happened at once; empty if nothing.
    """

    hit: bool
    trouble: str = ''


Fault = Callable[[Run, Random, float], Strike]


def kill(run: Run, random: Random, iterations: int) -> Strike:
    """Kills (-9) at a random moment."""
    moment = random.randint(0, iterations)
    run.wait_until(lambda: run.trained() >= moment)
    run.process.join(random.uniform(0, 0.2))
    alive = run.process.is_alive()
    run.kill()
    return Strike(alive, trouble_with_name(run.folder))


def kill_while_saving(run: Run, random: Random, iterations: int) -> Strike:
    """Kills (-9) while a checkpoint is half-written."""
    for _ in range(random.randint(1, 8)):
        run.wait_until(lambda: not _being_saved(run))
        run.wait_until(lambda: _being_saved(run))
    time.sleep(random.uniform(0, 0.003))
    run.kill()
    return Strike(_being_saved(run), trouble_with_name(run.folder))


def trouble_with_name(folder: Path) -> str:
    """What is wrong with the file that ``last_checkpoint`` names."""
    pointer = folder / 'last_checkpoint'
    named = [Path(pointer.read_text())] if pointer.exists() else []
    return '' if list(whole(named)) == named else f'last_checkpoint names {named[0]}, not whole'


def _being_saved(run: Run) -> bool:
    # Unlike pathlib's, this one bears with folders that go away meanwhile.
    return any(glob.iglob(f'{glob.escape(str(run.folder))}/.writing-*/*.pth'))


def full_disk(run: Run, random: Random, iterations: int) -> Strike:
    """The system refuses to write on in the middle of a checkpoint."""
    _wait_for_checkpoints(run, random.randint(1, 6))
    newest = checkpoints(run.folder)[-1:]
    if newest and run.process.is_alive():
        limit = int(random.uniform(0.7, 0.95) * newest[0].stat().st_size)
        with suppress(ProcessLookupError):
            resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    run.wait()
    return Strike('.pth could not be written' in run.output(), _trouble_with_stop(run))


def _trouble_with_stop(run: Run) -> str:
    """What is wrong with how a run ended that could not write."""
    status = run.process.exitcode
    said = [line for line in run.output().splitlines() if line.startswith('error: ')]
    left = [path.name for path in run.folder.glob('.writing-*')]
    if status not in (0, 1) or len(said) > 1 or left:
        return f'exit status {status}, said {said}, left behind {left}'
    return trouble_with_name(run.folder)


def cut_newest(run: Run, random: Random, iterations: int) -> Strike:
    """The newest checkpoint is cut short."""
    return _damage_newest(run, random, lambda data: data[: random.randrange(len(data))])


def flip_bit_of_newest(run: Run, random: Random, iterations: int) -> Strike:
    """One bit of the newest checkpoint flips."""

    def flip(data: bytearray) -> bytearray:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return data

    return _damage_newest(run, random, flip)


def _damage_newest(run: Run, random: Random, change: Callable[[bytearray], bytearray]) -> Strike:
    _wait_for_checkpoints(run, random.randint(2, 6))
    run.process.join(random.uniform(0, 0.2))
    run.kill()
    newest = checkpoints(run.folder)[-1]
    newest.write_bytes(change(bytearray(newest.read_bytes())))
    return Strike(True)


def _wait_for_checkpoints(run: Run, number: int) -> None:
    """Waits until so many have been saved; old ones are removed meanwhile."""
    seen = set()

    def enough() -> bool:
        seen.update(path.name for path in checkpoints(run.folder))
        return len(seen) >= number

    run.wait_until(enough)


def delete_entry(run: Run, random: Random, iterations: int) -> Strike:
    """Kills (-9) at a random moment, and something in the work dir is deleted."""
    struck = kill(run, random, iterations)
    entries = sorted(run.folder.iterdir()) if run.folder.exists() else []
    if not entries:
        return Strike(False)
    entry = random.choice(entries)
    if entry.is_dir():
        shutil.rmtree(entry)
    else:
        entry.unlink()
    return Strike(True, struck.trouble)


FAULTS: dict[str, Fault] = {
    'kill -9': kill,
    'kill -9 while saving': kill_while_saving,
    'disk full while saving': full_disk,
    'newest checkpoint cut short': cut_newest,
    'bit flipped in newest': flip_bit_of_newest,
    'work dir entry deleted': delete_entry,
}
