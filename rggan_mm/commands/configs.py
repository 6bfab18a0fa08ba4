"""Reading configs for commands."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.utils import get_installed_path, import_modules_from_strings, is_installed

import rggan_mm.plugin  # noqa: F401  registers what configs name
from rggan_mm.errors import ConfigError

from .config_errors import TRACEBACK, one_line_of

_OF_PACKAGE = '::'
_SUFFIXES = ('.py', '.yml', '.yaml', '.json')


def read_config(name: str, changes: Mapping[str, Any] | None = None) -> Config:
    """Reads a config file, or one that an installed package brings.

    Args:
        name: A path, or PACKAGE::FOLDER/FILE.py such as 'mmagic::dcgan/...'.
        changes: Fields to set, by dotted name.

    Returns:
        The config.

    Raises:
        ConfigError: There is no such config, or it cannot be read.
    """
    path = _in_package(name) if _OF_PACKAGE in name else Path(name)
    if not path.is_file():
        raise ConfigError(f'config={name}: there is no such file ({path})')
    if path.suffix not in _SUFFIXES:
        raise ConfigError(f'config={name}: a config ends in {", ".join(_SUFFIXES)}')
    config = _from_file(name, path)
    merge_changes(config, changes or {})
    return config


def merge_changes(config: Config, changes: Mapping[str, Any]) -> None:
    """Sets fields of a config, as ``--cfg-options`` gives them.

    Args:
        config: Changed in place.
        changes: Fields by dotted name.

    Raises:
        ConfigError: A value of another kind than the field, or no such place in a list.
    """
    try:
        config.merge_from_dict(dict(changes))
    except (TypeError, KeyError) as error:
        raise ConfigError(f'--cfg-options: {error}') from None


def _from_file(name: str, path: Path) -> Config:
    part = name
    try:
        config = Config.fromfile(path, import_custom_modules=False)
        part = f'{name}: custom_imports'
        import_modules_from_strings(**config.get('custom_imports') or {'imports': None})
    except ConfigError:
        raise
    except Exception as error:  # a config is code, and imports modules
        if os.environ.get(TRACEBACK):
            raise
        raise ConfigError(
            f'config={part}: {one_line_of(error)} ({TRACEBACK}=1 shows where)'
        ) from error
    return config


def _in_package(name: str) -> Path:
    package, _, path = name.partition(_OF_PACKAGE)
    if not is_installed(package):
        raise ConfigError(f'config={name}: the package {package!r} is not installed')
    return Path(get_installed_path(package)) / '.mim' / 'configs' / path
