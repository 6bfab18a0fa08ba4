"""Configs that import before or beside the plugin: pure-Python ones, and custom_imports."""

import os
import subprocess
import sys
from pathlib import Path

import mmagic
import pytest
from tiny import ROOT

STOCK = Path(mmagic.__file__).parent / '.mim' / 'tools' / 'train.py'
PURE = Path(__file__).parent / 'read_base' / 'rg.py'
READ = 'import sys\nfrom rggan_mm.commands.configs import read_config\nread_config(sys.argv[1])\n'


def run(*command, cwd):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': f'{ROOT}:{cwd}'}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize('tool', [ROOT / 'tools' / 'train.py', STOCK], ids=['ours', 'mmagic'])
def test_a_pure_python_config_trains(tmp_path, tool):
    done = run(tool, PURE, '--work-dir', tmp_path / 'run', cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'DynamicPruningHook: generator: ' in done.stdout
    assert (tmp_path / 'run' / 'iter_2.pth').exists()


@pytest.mark.slow
@pytest.mark.parametrize('imports', [['mygan', 'rggan_mm.plugin'], ['rggan_mm.plugin', 'mygan']])
def test_custom_imports_in_any_order(tmp_path, imports):
    (tmp_path / 'mygan.py').write_text('from mmagic.models.editors import GGAN\n')
    config = tmp_path / 'config.py'
    config.write_text(f'custom_imports = dict(imports={imports})\n')
    done = run('-c', READ, config, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
