"""What jobs leave behind, as figures; and what they ran on."""

import json
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.etree import ElementTree

import torch

PACKAGES = ('numpy', 'torchvision', 'mmengine', 'mmcv', 'mmcv-lite', 'mmagic', 'triton')
_DRIVER = Path('/proc/driver/nvidia/version')


def environment() -> dict:
    """GPU, driver and versions; None for what is not there."""
    gpu = torch.cuda.is_available()
    return {
        'gpu': torch.cuda.get_device_name() if gpu else None,
        'gpu_bytes': torch.cuda.get_device_properties(0).total_memory if gpu else None,
        'driver': _driver(),
        'cuda': torch.version.cuda,
        'cudnn': torch.backends.cudnn.version(),
        'torch': torch.__version__,
        'python': platform.python_version(),
        'machine': platform.machine(),
        **{name: _version(name) for name in PACKAGES},
    }


def read_json(path: Path) -> dict:
    """What a command wrote with ``--json``."""
    return json.loads(path.read_text(encoding='utf-8'))


def read_tests(path: Path) -> dict:
    """Counts of pytest's ``--junit-xml``, and the names of what failed."""
    cases = ElementTree.parse(path).getroot().findall('.//testcase')
    failed = [c for c in cases if c.find('failure') is not None or c.find('error') is not None]
    skipped = [c for c in cases if c.find('skipped') is not None]
    return {
        'passed': len(cases) - len(failed) - len(skipped),
        'skipped': len(skipped),
        'failed': [f'{case.get("classname")}::{case.get("name")}' for case in failed],
    }


def read_training(folder: Path) -> dict:
    """The last evaluation of a run with CurvesHook, its time and its sample grid."""
    last = json.loads((folder / 'evaluations.json').read_text(encoding='utf-8'))[-1]
    scalars = max(folder.glob('*/vis_data/scalars.json')).read_text(encoding='utf-8')
    lines = [json.loads(line) for line in scalars.splitlines()]
    times = [line['time'] for line in lines if 'loss' in line and 'time' in line]
    return {
        'iterations': last['iter'],
        'fid': last['metrics']['digits/fid'],
        'keep_ratio': last['keep_ratio'],
        'iteration_milliseconds': 1000 * times[-1] if times else None,
        'samples': [str(path) for path in sorted((folder / 'samples').glob('*.png'))],
    }


def _driver() -> str | None:
    if not _DRIVER.is_file():
        return None
    found = re.search(r'\d+\.\d+(\.\d+)?', _DRIVER.read_text(encoding='ascii', errors='replace'))
    return found[0] if found else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
