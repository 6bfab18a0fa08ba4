"""A list of records beside the checkpoints, which survives what they miss.

MMEngine saves the checkpoint of an iteration before it validates, so evaluations
are kept in a file of their own and cut back to the iteration that a run resumes at.
"""

import json
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process

from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole


class History:
    """Records, each a dict with ``iter``, kept in a JSON file.

    Args:
        path: The file; written by the main process only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict] = []

    def append(self, record: dict) -> None:
        """Adds one record and writes the file."""
        self.records.append(record)
        self._write()

    def clear(self) -> None:
        """Starts an empty history, in the file too."""
        self.records = []
        self._write()

    def resume(self, saved: list[dict], iteration: int, beside: Path) -> None:
        """Joins the checkpoint's records with a file's, up to an iteration.

        Where both know an evaluation the checkpoint is right.

        Args:
            saved: Records from the checkpoint.
            iteration: The iteration at which the run resumes.
            beside: The file in the checkpoint's folder; need not exist.
        """
        by_iter = {record['iter']: record for record in [*_read(beside), *saved]}
        self.records = [by_iter[i] for i in sorted(by_iter) if i <= iteration]
        self._write()

    def _write(self) -> None:
        if is_main_process():
            text = json.dumps(self.records, indent=1, default=float) + '\n'
            with written_whole(self.path) as temporary:
                temporary.write_text(text)


def _read(path: Path) -> list[dict]:
    """Reads on the main process, so that all processes agree."""
    content: list = [None]
    if is_main_process() and path.exists():
        content = [path.read_text()]
    broadcast_object_list(content)
    return _parse(content[0], path) if content[0] is not None else []


def _parse(text: str, path: Path) -> list[dict]:
    try:
        records = json.loads(text)
        return [record for record in records if isinstance(record['iter'], int)]
    except (ValueError, TypeError, KeyError):
        raise ConfigError(
            f'{path} is not a history of this package; restore it, or delete it to resume '
            'with what the checkpoint knows'
        ) from None
