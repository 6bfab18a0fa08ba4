"""Developers' commands find the repository from any folder."""

import subprocess
import sys

import pytest
from tiny import ROOT

COMMANDS = [
    'tools/benchmark.py',
    'tools/benchmark_attach.py',
    'tools/benchmark_channels.py',
    'tools/benchmark_evaluation.py',
    'tools/fault_test.py',
    'tools/analysis/communication.py',
    'tools/analysis/list_prunable.py',
    'dev/gpu_check.py',
    'dev/checks/evaluation.py',
    'dev/train_digits_extractor.py',
]


@pytest.mark.slow
@pytest.mark.parametrize('command', COMMANDS)
def test_help_is_shown_from_another_folder(tmp_path, command):
    arguments = [sys.executable, str(ROOT / command), '--help']
    result = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, '')
    assert result.stdout.startswith('usage: ')
