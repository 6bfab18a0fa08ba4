import os
import platform
import re
import subprocess
import sys

import numpy as np

import rggan_mm
from rggan_mm import compat


def test_importing_the_package_applies_every_gap_once():
    first = compat.apply()
    assert len(first) == len(compat.GAPS)
    assert compat.apply() == first


def test_every_outcome_has_its_own_name_and_one_line_of_reason():
    outcomes = compat.apply()
    assert len({outcome.name for outcome in outcomes}) == len(outcomes)
    assert all(outcome.reason and '\n' not in outcome.reason for outcome in outcomes)


def test_a_failing_gap_leaves_no_half_list(monkeypatch):
    def fails():
        raise ImportError('no')

    monkeypatch.setattr(compat, '_outcomes', [])
    monkeypatch.setattr(compat, 'GAPS', (compat.require_mmcv, fails))
    try:
        compat.apply()
    except ImportError:
        assert compat._outcomes == []


def test_the_command_prints_versions_and_one_row_per_gap():
    done = subprocess.run(
        [sys.executable, '-m', 'rggan_mm.compat'],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, 'COLUMNS': '200'},
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    for package, version in (('python', platform.python_version()), ('numpy', np.__version__)):
        assert f'{package} {version}' in first
    rows = [re.split(r'\s+│\s+', line.strip('│ ')) for line in lines if line.startswith('│')]
    states = {True: 'closed', False: 'not needed'}
    assert rows == [[o.name, states[o.closed], o.reason] for o in compat.apply()]


def test_without_mmengine_only_the_version_is_there(run_python):
    done = run_python(
        'import sys\n'
        'import importlib.util as util\n'
        'real = util.find_spec\n'
        "util.find_spec = lambda name, *a: None if name == 'mmengine' else real(name, *a)\n"
        'import rggan_mm\n'
        "assert 'mmengine' not in sys.modules and 'torch' not in sys.modules\n"
        'print(rggan_mm.__version__)\n'
    )
    assert done.stdout.strip() == rggan_mm.__version__, done.stderr
