"""Files with published weights: found or downloaded, checked, and read without running code."""

import hashlib
import io
import os
import re
import textwrap
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log
from torch import Tensor

from rggan_mm.errors import ConfigError


@dataclass(frozen=True)
class WeightsFile:
    """A file as it was when it was read and checked.

    Attributes:
        path: Where it is.
        content: All of it.
        sha256: Its SHA-256, 64 hexadecimal digits.
    """

    path: Path
    content: bytes
    sha256: str


def local_weights(path: str | os.PathLike, sha256: str | None = None) -> WeightsFile:
    """Read a file of weights that is at hand.

    Args:
        path: The file.
        sha256: What its SHA-256 must begin with, 8 to 64 hexadecimal digits; None takes
            any file. Default: None.

    Raises:
        ConfigError: No such file, not the one that ``sha256`` names, or a bad argument.
    """
    _check_digits(sha256)
    if not isinstance(path, str | os.PathLike) or not Path(path).is_file():
        raise ConfigError(f'weights must be the path of a file, but there is no file {str(path)!r}')
    file = _read(Path(path))
    if not file.sha256.startswith((sha256 or '').lower()):
        raise ConfigError(f'weights {path} have sha256 {file.sha256}, not {sha256}')
    return file


def hub_weights(url: str, sha256: str) -> WeightsFile:
    """Read a published file from torch.hub's folder, after a download if it is not there.

    Under several processes the main one downloads and the others wait, so all of them
    must call this.

    Args:
        url: Where it is published; its last part names the file in
            ``torch.hub.get_dir()/checkpoints``.
        sha256: What its SHA-256 must begin with, 8 to 64 hexadecimal digits.

    Raises:
        ConfigError: It cannot be downloaded, or is another file than ``sha256`` names;
            raised by all processes where the main one has the problem.
    """
    _check_digits(sha256)
    path = Path(torch.hub.get_dir()) / 'checkpoints' / PurePosixPath(urlparse(url).path).name
    problem = [_download_missing(url, path, sha256) if is_main_process() else None]
    broadcast_object_list(problem)
    # A second machine has a disk of its own; everywhere else the file is there by now.
    reason = problem[0] or _download_missing(url, path, sha256)
    if not reason:
        file = _read(path)
        if file.sha256.startswith(sha256.lower()):
            return file
        reason = f'the file there has sha256 {file.sha256}, not {sha256}'
    raise ConfigError(
        f'weights {path.name} of {url}: {reason}; put the published file at {path}, or name '
        "another with weights=FILE in the extractor's config (tools/evaluate.py: --weights FILE)"
    )


def _download_missing(url: str, path: Path, sha256: str) -> str | None:
    """Download unless the file is there; the reason if that fails."""
    if path.is_file():
        return None
    print_log(f'Downloading {url} to {path}', 'current')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Writes beside the file, and gives it its name when the hash is right.
        torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256.lower())
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        return f'cannot download it ({one_line(error)})'
    return None


def state_dict(file: WeightsFile) -> dict[str, Tensor]:
    """The tensors of a file made by ``torch.save(net.state_dict(), ...)``, on the CPU.

    Raises:
        ConfigError: The file is damaged or holds something else.
    """
    try:
        state = torch.load(io.BytesIO(file.content), map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged file can raise nearly anything
        raise ConfigError(f'weights {file.path} cannot be read: {one_line(error)}') from error
    if not _is_state_dict(state):
        raise ConfigError(f'weights {file.path} are no state dict (names and tensors)')
    return state


def one_line(error: Exception) -> str:
    """The message of an exception without line breaks and not much longer than a line."""
    return textwrap.shorten(str(error) or type(error).__name__, 200)


def _is_state_dict(state: Any) -> bool:
    return isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    )


def _check_digits(sha256: str | None) -> None:
    if sha256 is not None and not re.fullmatch('[0-9a-fA-F]{8,64}', str(sha256)):
        raise ConfigError(f'sha256 must be 8 to 64 hexadecimal digits, but got {sha256!r}')


def _read(path: Path) -> WeightsFile:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f'weights {path} cannot be read: {one_line(error)}') from error
    return WeightsFile(path, content, hashlib.sha256(content).hexdigest())
