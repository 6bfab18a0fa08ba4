"""How far a command is: a bar on a terminal, elsewhere a line now and then."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

from rggan_mm.evaluation.heartbeat import Heartbeat

SECONDS = 10.0  # between two lines
Part = TypeVar('Part')


def followed(
    parts: Iterable[Part], what: str, total: int, size: Callable[[Part], int] = lambda part: 1
) -> Iterator[Part]:
    """The parts again; says on the standard error how far it is.

    Args:
        parts: What is worked through.
        what: What is counted, such as 'images'.
        total: How many there are.
        size: How many a part holds. Default: one.
    """
    console, done = Console(stderr=True), 0
    heartbeat = Heartbeat(what, SECONDS, say=console.print)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        for part in parts:
            yield part
            done += size(part)
            bar.update(task, completed=done)
            if not console.is_terminal:
                heartbeat.tell(done, total)
