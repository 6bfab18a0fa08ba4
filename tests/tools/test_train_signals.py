"""tools/train.py that gets a signal, and goes on with --resume."""

import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from tiny import DIGITS, TINY
from tool_modules import TOOLS

OPTIONS = [
    *(f'{key}={value}' for key, value in TINY.items()),
    'train_cfg.max_iters=2000',
    'train_cfg.val_interval=2000',
    'default_hooks.checkpoint.interval=1000',
    'default_hooks.logger.interval=5',
    'train_dataloader.num_workers=1',
    'train_dataloader.persistent_workers=True',
]
COMMAND = [sys.executable, str(TOOLS / 'train.py'), str(DIGITS)]


def start(folder, *arguments):
    """The command in a session of its own, so that its workers get the signal too."""
    return subprocess.Popen(
        [*COMMAND, *arguments, '--cfg-options', *OPTIONS],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until_it_trains(process):
    """Returns what it said until then."""
    said = []
    for line in process.stdout:
        said.append(line)
        if 'Iter(train)' in line:
            return ''.join(said)
    pytest.fail('it did not train')


def stop(process):
    """Ends the whole session; returns what the command said meanwhile."""
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output[-2000:]
    return output


@pytest.mark.slow
def test_a_signal_saves_and_the_same_command_goes_on(tmp_path):
    process = start(tmp_path)
    wait_until_it_trains(process)
    output = stop(process)
    (iteration,) = re.findall(
        r'SIGTERM after iteration (\d+); saved as \S+; the same command with --resume', output
    )
    checkpoint = tmp_path / 'work_dirs' / 'rg_sngan_digits_10pct' / f'iter_{iteration}.pth'
    assert torch.load(checkpoint, weights_only=False)['meta']['iter'] == int(iteration)
    again = start(tmp_path, '--resume')
    assert f'resumed epoch: 0, iter: {iteration}' in wait_until_it_trains(again)
    stop(again)
