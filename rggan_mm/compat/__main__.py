"""Show what was done for MMagic here: ``python -m rggan_mm.compat``."""

import platform
from importlib import metadata

from rich.console import Console
from rich.table import Table

from rggan_mm.compat import apply

_PACKAGES = ('torch', 'numpy', 'scipy', 'mmcv', 'mmcv-lite', 'mmengine', 'mmagic')


def versions() -> str:
    """Name the versions of the libraries concerned, in one line."""
    found = [f'python {platform.python_version()}']
    for package in _PACKAGES:
        try:
            found.append(f'{package} {metadata.version(package)}')
        except metadata.PackageNotFoundError:
            continue
    return ', '.join(found)


def main() -> None:
    """Print the versions and one row per shim and repair."""
    table = Table('name', 'state', 'symptom without it')
    for outcome in apply():
        table.add_row(*outcome)
    console = Console()
    console.print(versions(), highlight=False, soft_wrap=True)
    console.print(table)


if __name__ == '__main__':
    main()
