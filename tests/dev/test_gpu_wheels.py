"""The wheels for a GPU machine, with a pip that needs no index."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands for Python: makes a wheel of the size given, or fails at the command given.
PIP = """#!/bin/sh
command=$3
while [ $# -gt 0 ]; do
    case $1 in --dest | --wheel-dir) folder=$2 ;; esac
    shift
done
[ "$command" != '{fails}' ] || exit 7
truncate -s {size} "$folder/$command.whl"
"""


@pytest.fixture
def collect(tmp_path):
    """Run the script in a folder that has an old wheel."""
    (tmp_path / '.whl').mkdir()
    (tmp_path / '.whl/old.whl').touch()

    def run(size=1000, fails=''):
        python = tmp_path / 'python'
        python.write_text(PIP.format(size=size, fails=fails))
        python.chmod(0o755)
        command = [shutil.which('sh'), str(ROOT / 'dev/gpu_wheels.sh'), str(python)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert not (tmp_path / '.whl.part').exists()
        return done, sorted(path.name for path in (tmp_path / '.whl').iterdir())

    return run


def test_the_folder_holds_the_new_wheels_alone(collect):
    done, wheels = collect()
    assert done.returncode == 0, done.stderr
    assert wheels == ['download.whl', 'wheel.whl']
    assert done.stdout.split()[-2:] == ['2000', 'total']


@pytest.mark.parametrize('command', ['download', 'wheel'])
def test_a_pip_that_fails_leaves_the_folder_as_it_was(collect, command):
    done, wheels = collect(fails=command)
    assert done.returncode == 1
    assert f'pip {command} failed' in done.stderr
    assert wheels == ['old.whl']


def test_too_much_is_refused(collect):
    done, wheels = collect(size=31 * 1024 * 1024)
    assert done.returncode == 1
    assert str(62 * 1024 * 1024) in done.stderr
    assert wheels == ['old.whl']


def test_versions_are_those_of_the_tested_set():
    script = (ROOT / 'dev/gpu_wheels.sh').read_text()
    (names,) = [line for line in script.splitlines() if line.startswith('wheels=')]
    constraints = (ROOT / 'requirements/constraints.txt').read_text()
    for name in names.partition('=')[2].strip("'").split():
        assert f'\n{name}==' in constraints
