"""Reading a checkpoint file: whole or not at all, and without running code from it."""

import logging
import os.path as osp
import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log

TRUST_HELP = 'load an old checkpoint whose maker you trust: code in the file may run'

_REFUSED = re.compile(r'unsupported global:? (?:global )?(\S+)', re.IGNORECASE)
_DEVICE_TROUBLE = ('CUDA', 'out of memory')
_ZIP = b'PK\x03\x04'
_FOLDER = 0x10  # attribute of an entry of which PyTorch reads nothing
# NumPy 2 moved its core; a checkpoint written under one name loads under both.
_NUMPY_CORES = ('numpy.core.multiarray', 'numpy._core.multiarray')
_DTYPES = ('bool', 'int32', 'int64', 'float32', 'float64')
_trusted: ContextVar[bool] = ContextVar('trusted', default=False)


class UnusableCheckpointError(Exception):
    """Why a file cannot be loaded, as the end of a sentence that begins with its name."""


@contextmanager
def trusted_checkpoints(trust: bool = True) -> Iterator[None]:
    """Loads any pickle inside the block, as PyTorch did before 2.6: code in a file can run.

    For old files from a maker whom you trust, which hold more than tensors, plain
    values and MMEngine's records. Save what was loaded, and the new file is safe.

    Args:
        trust: False changes nothing.
    """
    token = _trusted.set(trust or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


def torch_allows_names() -> bool:
    """Whether PyTorch's own safe loader takes (object, name) pairs: from 2.6 on."""
    major, minor = torch.__version__.split('.')[:2]
    return (int(major), int(minor)) >= (2, 6)


def history_statistic(owner: Any, name: str) -> Any:
    """Stands for the ``getattr`` by which a HistoryBuffer names its statistics.

    Args:
        owner: Must be the class HistoryBuffer.
        name: Name of one of its public methods.

    Returns:
        The method.

    Raises:
        UnpicklingError: For any other attribute.
    """
    if owner is not HistoryBuffer or name.startswith('_') or name not in vars(owner):
        raise pickle.UnpicklingError(f'Unsupported global: {owner!r}.{name}')
    return getattr(owner, name)


def mmengine_types() -> dict[str, Any]:
    """What a checkpoint needs beyond tensors and plain Python values.

    MMEngine's message hub keeps its scalars in HistoryBuffers, which hold NumPy arrays,
    and metrics may be NumPy scalars. Nothing here runs code of the file's choosing.

    Returns:
        Object by the full name that it has in a pickle.
    """
    current = _NUMPY_CORES[int(np.__version__.split('.')[0]) >= 2]
    multiarray = import_module(current)
    allowed = {
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'builtins.getattr': history_statistic,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
    }
    for core in _NUMPY_CORES:
        allowed[f'{core}._reconstruct'] = multiarray._reconstruct
        allowed[f'{core}.scalar'] = multiarray.scalar
    # PyTorch wants the class of each dtype object too before it restores one.
    for kind in (type(np.dtype(name)) for name in _DTYPES):
        allowed[f'{kind.__module__}.{kind.__name__}'] = kind
    return allowed


def allow_mmengine_types() -> None:
    """Lets PyTorch's safe loader (the default from 2.6 on) load MMEngine's checkpoints."""
    if torch_allows_names():
        torch.serialization.add_safe_globals([(it, name) for name, it in mmengine_types().items()])


class _AllowListUnpickler(pickle.Unpickler):
    """Finds nothing but tensors' and MMEngine's own names."""

    def find_class(self, module: str, name: str) -> Any:
        from torch._weights_only_unpickler import _get_allowed_globals

        allowed = {**_get_allowed_globals(), **mmengine_types()}
        allowed['_codecs.encode'] = _encode_latin1
        # Files are written with the names of Python 2 (pickle protocol 2).
        module = 'builtins' if module == '__builtin__' else module
        try:
            return allowed[f'{module}.{name}']
        except KeyError:
            raise pickle.UnpicklingError(f'Unsupported global: {module}.{name}') from None


def _encode_latin1(text: str, encoding: str) -> bytes:
    """How pickle protocol 2 writes bytes; nothing else is decoded."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'Unsupported encoding: {encoding}')
    return text.encode('latin1')


_allow_list_pickle = SimpleNamespace(
    __name__='allow_list_pickle',
    Unpickler=_AllowListUnpickler,
    load=lambda file, **kwargs: _AllowListUnpickler(file, **kwargs).load(),
)


def _load(path: str, map_location: Any) -> Any:
    """Reads a file; runs no code from it unless it is trusted."""
    if not _trusted.get():
        return _load_safely(path, map_location)
    message = f'{path} is loaded as trusted: code in the file can run'
    print_log(message, logger='current', level=logging.WARNING)
    return torch.load(path, map_location=map_location, weights_only=False)


def _load_safely(path: str, map_location: Any, **options: Any) -> Any:
    if torch_allows_names():
        allow_mmengine_types()
        options['weights_only'] = True
    else:
        options['pickle_module'] = _allow_list_pickle
    return torch.load(path, map_location=map_location, **options)


def find_damage(path: str) -> str | None:
    """Compares a file with its own checksums, which PyTorch does not when it loads.

    Args:
        path: An existing file.

    Returns:
        What is wrong; None if nothing is, or if the file has no checksums (PyTorch's
        format before 1.6, or files saved with them switched off).
    """
    if not _is_zip(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return _wrong_entry(archive)
    except Exception as error:  # zipfile has many ways to stumble over damage
        return f'its table of contents is damaged ({type(error).__name__})'


def _wrong_entry(archive: zipfile.ZipFile) -> str | None:
    entries = archive.infolist()
    folder = next((e.filename for e in entries if e.external_attr & _FOLDER), None)
    checked = any(entry.CRC for entry in entries)
    wrong = folder or (archive.testzip() if checked else None)
    return wrong and f'the checksum of its entry {wrong} is wrong'


def _explain(error: Exception) -> str:
    refused = _REFUSED.search(str(error))
    if refused:
        return (
            f'is refused: it names {refused[1]}, which could run code; only tensors, plain values '
            'and MMEngine records are loaded (--trust-checkpoint loads a file of a maker you trust)'
        )
    return _unreadable(type(error).__name__)


def _unreadable(reason: str) -> str:
    return (
        f'is not readable as a checkpoint ({reason}): it is damaged, cut short or another kind '
        'of file'
    )


def read_checkpoint(path: str, map_location: Any = None) -> dict[str, Any]:
    """Reads a checkpoint file.

    Args:
        path: The file.
        map_location: As in :func:`torch.load`.

    Returns:
        The checkpoint.

    Raises:
        UnusableCheckpointError: It is missing, damaged or no checkpoint, or names
            anything that is not on the allow-list.
    """
    if not osp.isfile(path):
        raise UnusableCheckpointError('does not exist')
    damage = find_damage(path)
    if damage:
        raise UnusableCheckpointError(_unreadable(damage))
    try:
        checkpoint = _load(path, map_location)
    except Exception as error:
        if any(word in str(error) for word in _DEVICE_TROUBLE):
            raise
        raise UnusableCheckpointError(_explain(error)) from None
    if not isinstance(checkpoint, dict):
        raise UnusableCheckpointError(_unreadable(type(checkpoint).__name__))
    return checkpoint


def glance(path: str) -> dict[str, Any] | None:
    """Looks into a checkpoint without reading its tensors; runs no code from it, ever.

    Args:
        path: An existing file.

    Returns:
        The checkpoint, its tensors mapped to the file; None where it is no checkpoint or
        cannot be read.
    """
    try:
        checkpoint = _load_safely(path, 'cpu', mmap=_is_zip(path))
    except Exception:  # as for read_checkpoint, which says why
        return None
    return checkpoint if isinstance(checkpoint, dict) else None


def _is_zip(path: str) -> bool:
    with open(path, 'rb') as file:
        return file.read(len(_ZIP)) == _ZIP
