"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary name to write to; the file gets its own name at the end.

    Args:
        path: The file; its folder is made when it is missing. When the block
            raises, an older file of that name stays and nothing else is left.

    Yields:
        The temporary path, with the same file name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.writing-') as folder:
        temporary = Path(folder) / path.name
        yield temporary
        with temporary.open('rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
