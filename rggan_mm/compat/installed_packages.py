"""MMEngine asks pkg_resources for packages, which setuptools 82 dropped."""

from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

from rggan_mm.compat.outcome import Outcome

_NAME = 'pkg-resources'
_USERS = (
    'mmengine.utils.package_utils',
    'mmengine.utils',
    'mmengine.config.config',
    'mmengine.hub.hub',
)

_WARNING_SINCE = (67, 3)


def is_installed(package: str) -> bool:
    """Tell whether a distribution or a module of this name is installed.

    Args:
        package: Name of a distribution or module.

    Returns:
        True if it is there.
    """
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        spec = find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def get_installed_path(package: str) -> str:
    """Find the folder of an installed package.

    Args:
        package: Name of a distribution or module.

    Returns:
        The folder that holds the package's ``__init__.py``.

    Raises:
        ModuleNotFoundError: If there is no such package.
    """
    spec = find_spec(package) or find_spec(_module_name(package))
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f'package {package!r} is not installed')
    return str(Path(spec.origin).parent)


def _module_name(package: str) -> str:
    """Module that a distribution brings (``mmcv-lite`` brings ``mmcv``)."""
    try:
        names = metadata.distribution(package).read_text('top_level.txt') or package
    except metadata.PackageNotFoundError:
        return package
    return names.split()[0]


def _setuptools() -> tuple[int, ...]:
    """Version of setuptools, which brings pkg_resources."""
    return tuple(int(part) for part in metadata.version('setuptools').split('.')[:2])


def replace_pkg_resources() -> Outcome:
    """Let MMEngine look for packages without pkg_resources.

    Symptom: ``ModuleNotFoundError: No module named 'pkg_resources'`` for a
    config that inherits from ``mmagic::...``, or a warning that it is going
    away. Cause: ``is_installed`` and ``get_installed_path`` in
    mmengine/utils/package_utils.py import it. Applies to MMEngine up to 0.10.7
    with setuptools 67.3 and later (82 has none), or without setuptools (a
    virtual environment of Python 3.12). MMagic's own tools read a config before
    it can import this package, so requirements/ asks for setuptools below 82.

    Returns:
        The outcome.
    """
    if find_spec('pkg_resources') is not None and _setuptools() < _WARNING_SINCE:
        return Outcome(_NAME, False, 'pkg_resources is installed and says nothing')
    for user in map(import_module, _USERS):
        for function in (is_installed, get_installed_path):
            if hasattr(user, function.__name__):
                setattr(user, function.__name__, function)
    return Outcome(_NAME, True, 'MMEngine looks for packages with importlib.metadata')
