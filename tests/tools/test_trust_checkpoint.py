"""The option for old files of a maker whom one trusts."""

import os
import sys

import pytest
import torch
from tiny import DIGITS, TINY, tiny_runner
from tool_modules import load_command

OPTIONS = ['--cfg-options', *(f'{key}={value}' for key, value in TINY.items())]


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def old_file(tmp_path):
    """A checkpoint with more in it than values; what is in it leaves a trace."""
    runner = tiny_runner(tmp_path / 'run', train_cfg__max_iters=2, train_cfg__val_interval=2)
    runner.train()
    path, trace = tmp_path / 'old.pth', tmp_path / 'trace'
    checkpoint = torch.load(tmp_path / 'run' / 'iter_2.pth', weights_only=False)
    torch.save({**checkpoint, 'more': Payload(trace)}, path)
    return path, trace


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('test', ['--work-dir', '{folder}/test']),
        ('evaluate', ['--extractor', 'digits', '--num', '20']),
    ],
)
def test_it_loads_what_is_refused_without_it(old_file, monkeypatch, capsys, tool, arguments):
    path, trace = old_file
    command = load_command(tool)
    arguments = [argument.format(folder=path.parent) for argument in arguments]
    line = [f'{tool}.py', str(DIGITS), str(path), *arguments, *OPTIONS]
    monkeypatch.setattr(sys, 'argv', line)
    assert command.main() == 1
    refused = [text for text in capsys.readouterr().err.splitlines() if text.startswith('error: ')]
    assert 'old.pth is refused' in refused[0]
    assert 'mkdir' in refused[0]
    assert not trace.exists()
    monkeypatch.setattr(sys, 'argv', [*line[:3], '--trust-checkpoint', *line[3:]])
    assert command.main() == 0
    assert trace.is_dir()
