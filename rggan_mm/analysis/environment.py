"""Where numbers were made."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from rggan_mm.version import __version__

PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmagic', 'mmcv', 'mmcv-lite', 'numpy', 'scipy')


def environment() -> dict[str, str | int]:
    """Versions and hardware, as JSON values."""
    return {
        'rggan_mm': __version__,
        'python': platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
        'system': platform.platform(),
        'cpu': _cpu(),
        'cores': os.cpu_count() or 0,
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else 'none',
        'threads': torch.get_num_threads(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path('/proc/cpuinfo')  # platform.processor() is empty on many Linux machines
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(':')[2].strip() for line in lines if line.startswith('model name'))
    return next(names, platform.processor() or platform.machine())
