"""Checkpoints are data: loading one works on every PyTorch and never runs code."""

import os
import os.path as osp
import pickle
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.dist import barrier, get_rank
from mmengine.runner import checkpoint as mmengine_checkpoint

from rggan_mm.compat.outcome import Outcome
from rggan_mm.compat.safe_globals import mmengine_safe_globals
from rggan_mm.errors import ConfigError

_NAME = 'checkpoint-loading'
_REFUSED = re.compile(r'unsupported global:? (?:global )?(\S+)', re.IGNORECASE)
_DEVICE_TROUBLE = ('CUDA', 'out of memory')


def _torch_allows_names() -> bool:
    """Whether PyTorch's own safe loader takes (object, name) pairs: from 2.6 on."""
    major, minor = torch.__version__.split('.')[:2]
    return (int(major), int(minor)) >= (2, 6)


class _AllowListUnpickler(pickle.Unpickler):
    """Finds nothing but tensors' and MMEngine's own names."""

    def find_class(self, module: str, name: str) -> Any:
        from torch._weights_only_unpickler import _get_allowed_globals

        allowed = {**_get_allowed_globals(), **mmengine_safe_globals()}
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


def _read(path: str, map_location: Any) -> Any:
    """Read a file without running code from it."""
    if _torch_allows_names():
        return torch.load(path, map_location=map_location, weights_only=True)
    return torch.load(path, map_location=map_location, pickle_module=_allow_list_pickle)


def _explain(path: str, error: Exception) -> ConfigError:
    """Turn what a loader raised into one line."""
    refused = _REFUSED.search(str(error))
    if refused:
        return ConfigError(
            f'checkpoint {path} is refused: it names {refused[1]}, which could run code; only '
            'tensors, plain values and MMEngine records are loaded'
        )
    return ConfigError(
        f'checkpoint {path} is not readable as a checkpoint ({type(error).__name__}): it is '
        'damaged, cut short or another kind of file; use the last good checkpoint'
    )


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a checkpoint file; takes the place of MMEngine's function.

    Args:
        filename: Path of the file.
        map_location: As in :func:`torch.load`.

    Returns:
        The checkpoint.

    Raises:
        ConfigError: If the file is missing, damaged or no checkpoint, or if it
            names anything that is not on the allow-list.
    """
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise ConfigError(f'checkpoint {path} does not exist; name an existing file')
    try:
        checkpoint = _read(path, map_location)
    except Exception as error:
        if any(word in str(error) for word in _DEVICE_TROUBLE):
            raise
        raise _explain(path, error) from None
    if not isinstance(checkpoint, dict):
        raise _explain(path, TypeError()) from None
    return checkpoint


def load_from_http(
    filename: str,
    map_location: Any = None,
    model_dir: str | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Download a checkpoint once, then load it as a local file.

    Args:
        filename: Address of the file.
        map_location: As in :func:`torch.load`.
        model_dir: Folder for the download. Defaults to PyTorch's hub folder.
        progress: Whether to show a progress bar.

    Returns:
        The checkpoint.

    Raises:
        ConfigError: As :func:`load_from_local`.
    """
    folder = model_dir or osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(filename.split('?')[0]))
    if get_rank() == 0:
        _fetch(filename, path, progress)
    barrier()
    _fetch(filename, path, progress)  # ranks on machines that do not share the folder
    return load_from_local(path, map_location)


def _fetch(url: str, path: str, progress: bool) -> None:
    """Download a file that is not there yet; it appears whole or not at all."""
    if not osp.isfile(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(url, path, progress=progress)


def _replace_loader(prefixes: str | tuple[str, ...], loader: Callable[..., Any]) -> None:
    """Put a loader in MMEngine's place, for configs and for direct callers."""
    mmengine_checkpoint.CheckpointLoader.register_scheme(prefixes, loader, force=True)
    setattr(mmengine_checkpoint, loader.__name__, loader)


def load_checkpoints_safely() -> Outcome:
    """Make ``load_from`` and ``resume`` work, and safe, on every PyTorch.

    Symptom: ``UnpicklingError ... HistoryBuffer`` from PyTorch 2.6 on; before,
    a checkpoint could run any code; a damaged file ended in a long traceback.
    Cause: mmengine/runner/checkpoint.py leaves ``weights_only`` of
    ``torch.load`` at its default, and addresses on the network are loaded
    without it by every version. Applies to MMEngine up to 0.10.7.

    Returns:
        The outcome.
    """
    if _torch_allows_names():
        pairs = [(found, name) for name, found in mmengine_safe_globals().items()]
        torch.serialization.add_safe_globals(pairs)
    _replace_loader('', load_from_local)
    _replace_loader(('http://', 'https://'), load_from_http)
    return Outcome(_NAME, True, 'checkpoints load with an allow-list and run no code')
