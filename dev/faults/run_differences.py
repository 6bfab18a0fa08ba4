"""Compares what two runs left behind, bit for bit."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from rggan_mm.training.checkpoint_reading import read_checkpoint

HISTORIES = ('evaluations.json', 'phase_history.json')
# What depends on the clock, the machine's memory, the name of the work dir or, in MMEngine's
# version, the commit of the folder in which the command runs.
_CHANGING = (
    'time',
    'data_time',
    'eta',
    'memory',
    'cfg',
    'experiment_name',
    'mmengine_version',
)
# A validation that is repeated on resume is logged once more; its values are compared
# in the histories.
_LOGGED_AGAIN = 'val/'
# One ahead while it is repeated, and set anew at the next iteration; meta.iter is compared.
_COUNTED_AHEAD = 'message_hub.runtime_info.iter'


def differences(ours: Path, theirs: Path, checkpoint: str) -> list[str]:
    """Names what differs between two finished runs.

    Args:
        ours: A work dir.
        theirs: The work dir of the uninterrupted run.
        checkpoint: File name of the checkpoint to compare.

    Returns:
        Places in the checkpoint, and names of files; empty when all is equal.
    """
    if not (ours / checkpoint).is_file():
        return [f'no {checkpoint}']
    a, b = (dict(_leaves(read_checkpoint(str(f / checkpoint), 'cpu'), f)) for f in (ours, theirs))
    wrong = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
    return wrong + [name for name in HISTORIES if _records(ours / name) != _records(theirs / name)]


def _leaves(value: Any, folder: Path, name: str = '') -> Iterator[tuple[str, Any]]:
    """Names and comparable values of all that a checkpoint holds."""
    if isinstance(value, HistoryBuffer):
        value = vars(value)
    if isinstance(value, Mapping):
        for key in value:
            inner = f'{name}.{key}'.lstrip('.')
            if not _changes(str(key)) and inner != _COUNTED_AHEAD:
                yield from _leaves(value[key], folder, inner)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _leaves(item, folder, f'{name}.{i}')
    else:
        yield name, _comparable(value, folder)


def _changes(key: str) -> bool:
    return key.rpartition('/')[2] in _CHANGING or key.startswith(_LOGGED_AGAIN)


def _comparable(value: Any, folder: Path) -> tuple:
    if isinstance(value, torch.Tensor):
        data = value.detach().reshape(-1).contiguous().view(torch.uint8)
        return 'tensor', value.dtype, tuple(value.shape), data.numpy().tobytes()
    if isinstance(value, np.ndarray):
        return 'array', value.dtype, value.shape, value.tobytes()
    return type(value), repr(value).replace(str(folder), '')


def _records(path: Path) -> Any:
    """The history in a file; as text, since NaN is not equal to itself."""
    return repr(json.loads(path.read_text())) if path.is_file() else None
