import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INPUTS = ('requirements', 'setup.py', 'dev/make_env.sh')
# Stands for an interpreter that passes the check but cannot install.
OFFLINE = '#!/bin/sh\ncase "$*" in "-m pip"*) exit 9;; *) exec {python} "$@";; esac\n'


@pytest.fixture
def checkout(tmp_path):
    """The files that make_env.sh reads, in a folder with a space."""
    top = tmp_path / 'a checkout'
    for name in INPUTS:
        source, target = ROOT / name, top / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return top


def make_env(checkout, venv, python='', path=None):
    env = {**os.environ, 'PATH': str(path)} if path else None
    command = [shutil.which('sh'), 'dev/make_env.sh', venv, python]
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True)


def stamped_venv(checkout):
    """An environment whose installation ended well, without the installation."""
    (checkout / '.venv/bin').mkdir(parents=True)
    (checkout / '.venv/pyvenv.cfg').touch()
    python = checkout / '.venv/bin/python'
    python.write_text(OFFLINE.format(python=sys.executable))
    python.chmod(0o755)
    inputs = 'pwd && cat requirements/*.txt setup.py dev/make_env.sh'
    stamp = subprocess.run(
        ['sh', '-c', f'{{ {inputs}; }} | cksum'], cwd=checkout, capture_output=True, check=True
    )
    (checkout / '.venv/.rggan_mm_ready').write_bytes(stamp.stdout)


def test_no_suitable_python_ends_in_one_clear_line(checkout, tmp_path):
    (tmp_path / 'bin').mkdir()
    done = make_env(checkout, '.venv', path=tmp_path / 'bin')
    assert done.returncode == 1
    assert 'no Python 3.11 to 3.14' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_is_no_environment_is_left_alone(checkout):
    (checkout / 'mine').mkdir()
    (checkout / 'mine/letter').write_text('dear')
    done = make_env(checkout, 'mine', sys.executable)
    assert done.returncode == 1
    assert 'no virtual environment' in done.stderr
    assert (checkout / 'mine/letter').read_text() == 'dear'


def test_a_ready_environment_is_used_as_it_is(checkout):
    stamped_venv(checkout)
    done = make_env(checkout, '.venv')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('changed', ['requirements/constraints.txt', 'setup.py'])
def test_a_changed_input_installs_again_and_a_failure_leaves_no_stamp(checkout, changed):
    stamped_venv(checkout)
    with (checkout / changed).open('a') as file:
        file.write('# changed\n')
    done = make_env(checkout, '.venv')
    assert done.returncode == 9
    assert 'new environment' not in done.stdout
    assert not (checkout / '.venv/.rggan_mm_ready').exists()


@pytest.mark.parametrize('damage', ['stamp', 'python'])
def test_a_half_made_environment_is_made_anew(checkout, tmp_path, damage):
    stamped_venv(checkout)
    (checkout / '.venv' / {'stamp': '.rggan_mm_ready', 'python': 'bin/python'}[damage]).unlink()
    fake = tmp_path / 'python'
    log = tmp_path / 'log'
    fake.write_text(f'#!/bin/sh\ncase "$*" in "-m venv"*) echo "$@" >"{log}"; exit 9;; esac\n')
    fake.chmod(0o755)
    done = make_env(checkout, '.venv', str(fake))
    assert done.returncode == 9
    assert log.read_text() == '-m venv --clear .venv\n'
