"""Training and testing in several processes, with the scripts that a person runs."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from tiny import DIGITS, TINY
from tool_modules import TOOLS

SMALL = [f'{key}={value}' for key, value in TINY.items()]
GLOO = 'env_cfg.dist_cfg.backend=gloo'


def bash(script, *arguments, cwd, **variables):
    """Runs one of tools/*.sh away from the checkout."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    environment = {**os.environ, 'PYTHON': sys.executable, 'PORT': str(port), **variables}
    environment.pop('PYTHONPATH', None)
    command = ['bash', str(TOOLS / script), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def last_logged(folder):
    """What a test logged last."""
    (path,) = (folder / 'work_dirs' / 'rg_sngan_digits_10pct_test').glob('*/*.json')
    return json.loads(path.read_text().splitlines()[-1])


@pytest.mark.slow
def test_two_processes_train_then_one_and_two_test_the_checkpoint(tmp_path):
    options = ['--cfg-options', *SMALL, GLOO]
    result = bash('dist_train.sh', DIGITS, 2, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    checkpoint = tmp_path / 'work_dirs' / 'rg_sngan_digits_10pct' / 'iter_6.pth'
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    assert not any('.module.' in name for name in state if not name.startswith('generator_ema'))
    assert state['generator.to_rgb.conv.threshold'].min() > 0
    values = []
    for name, processes in (('one', 1), ('two', 2)):
        (tmp_path / name).mkdir()
        arguments = [DIGITS, checkpoint, processes, *options]
        result = bash('dist_test.sh', *arguments, cwd=tmp_path / name)
        assert result.returncode == 0, result.stderr[-3000:]
        values.append(last_logged(tmp_path / name))
    # The noise of two processes is another, so only the protocol is the same.
    for value in values:
        assert value['digits/n_fake'] == 20
        assert value['digits/n_real'] == 360
        assert 0 < value['digits/fid'] < 1000


@pytest.mark.parametrize(
    ('script', 'arguments', 'status', 'message'),
    [
        ('dist_train.sh', ['c.py'], 2, 'usage: bash tools/dist_train.sh CONFIG GPUS'),
        ('dist_test.sh', ['c.py', 'x.pth'], 2, 'usage: bash tools/dist_test.sh CONFIG CHECKPOINT'),
        ('slurm_train.sh', ['p', 'j', 'c.py'], 2, 'usage: bash tools/slurm_train.sh PARTITION'),
        ('dist_train.sh', ['c.py', 'two'], 1, 'error: GPUS=two must be an integer'),
        ('dist_train.sh', ['c.py', '0'], 1, 'error: GPUS=0 must be an integer'),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path, script, arguments, status, message):
    result = bash(script, *arguments, cwd=tmp_path)
    assert result.returncode == status
    assert result.stderr.startswith(message)
    assert result.stderr.count('\n') == 1


def stand_in(folder, name):
    """A command of that name which prints what it was given, one word a line."""
    path = folder / name
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_several_machines(tmp_path):
    python = stand_in(tmp_path, 'python')
    variables = {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': 'host', 'PORT': '5'}
    result = bash(
        'dist_train.sh', 'c.py', 8, '--resume', cwd=tmp_path, **{**variables, 'PYTHON': python}
    )
    words = result.stdout.split('\n')[:-1]
    assert words[:7] == [
        '-m',
        'torch.distributed.run',
        '--nnodes=2',
        '--node-rank=1',
        '--master-addr=host',
        '--master-port=5',
        '--nproc-per-node=8',
    ]
    assert words[7].endswith('train.py')
    assert words[8:] == ['c.py', '--resume', '--launcher', 'pytorch']


@pytest.mark.parametrize(('gpus', 'per_node'), [('16', '8'), ('4', '4')])
def test_slurm(tmp_path, gpus, per_node):
    stand_in(tmp_path, 'srun')
    result = bash(
        'slurm_train.sh',
        *('part', 'job', 'c.py', 'out', '--resume'),
        cwd=tmp_path,
        GPUS=gpus,
        SRUN_ARGS='--quiet --time=5',
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
    )
    words = result.stdout.split('\n')[:-1]
    assert words[:9] == [
        '--partition=part',
        '--job-name=job',
        f'--gres=gpu:{per_node}',
        f'--ntasks={gpus}',
        f'--ntasks-per-node={per_node}',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        '--quiet',
        '--time=5',
    ]
    assert words[-6:] == ['c.py', '--work-dir', 'out', '--launcher', 'slurm', '--resume']
