"""Weights as files, each written whole."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole


def needed(module: str, what: str) -> ModuleType:
    """Imports a module of an optional package.

    Args:
        module: Its name.
        what: What needs it, for the message.

    Raises:
        ConfigError: The package is missing.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition('.')[0]
        raise ConfigError(
            f"{what} needs the package {package}: pip install {package}, or the extra 'export'"
        ) from None


def save_pth(path: Path, state: Mapping[str, Tensor]) -> None:
    """Writes weights by name, as ``torch.save`` does; any loader of PyTorch reads them."""
    with written_whole(path) as temporary:
        torch.save(dict(state), temporary)


def save_safetensors(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes weights by name in the safetensors format, which holds no code.

    Raises:
        ConfigError: The package safetensors is missing.
    """
    save = needed('safetensors.torch', '--format safetensors').save
    with written_whole(path) as temporary:
        # Its save_file makes files that nobody else may read (safetensors 0.8).
        temporary.write_bytes(save(dict(state), dict(metadata or {})))


def save_packed(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str], half: bool = False
) -> None:
    """Writes kept values and one bit a weight; see :mod:`rggan_mm.export.packed`.

    Raises:
        ConfigError: The package safetensors is missing.
    """
    needed('safetensors', '--format packed')
    from .packed import SHAPES
    from .packing import pack

    tensors, shapes = pack(state, half)
    save_safetensors(path, tensors, {**metadata, SHAPES: shapes})


def read(path: Path, kind: str) -> dict[str, Tensor]:
    """Reads the weights of a file of ours; no code in it runs.

    Args:
        path: The file.
        kind: 'pth', 'safetensors' or 'packed'.
    """
    if kind == 'pth':
        return torch.load(path, map_location='cpu', weights_only=True)
    if kind == 'safetensors':
        return needed('safetensors.torch', '--format safetensors').load_file(path)
    from .packed import load_packed

    return load_packed(str(path))
