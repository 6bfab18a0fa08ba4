"""The benchmark's command: tables, file, refusals."""

import json
import subprocess
import sys

import pytest
from tiny import ROOT
from tool_modules import load_tool

DIGITS = 'configs/rg_sngan_digits_10pct.py'


@pytest.fixture(scope='module')
def benchmark():
    return load_tool('benchmark')


def run(tool, monkeypatch, *arguments):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *arguments])
    return tool.run(tool.benchmark)


@pytest.mark.slow
def test_tables_and_file(benchmark, monkeypatch, capsys, tmp_path):
    file = tmp_path / 'new' / 'figures.json'
    arguments = ['--config', DIGITS, '--turns', '2', '--warm-up', '1', '--batch-size', '4']
    arguments += ['--channels-last', '--device', 'cpu', '--json', str(file)]
    assert run(benchmark, monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    figures = json.loads(file.read_text())
    assert (figures['turns'], figures['batch_size']) == (2, 4)
    assert list(figures['runs']) == list(benchmark.KINDS)
    for one in figures['runs'].values():
        assert one['title'] in printed
        assert f'{one["images_per_second"]:.0f}' in printed
        assert one['ratio_spread'][0] <= one['ratio'] <= one['ratio_spread'][1]
        assert one['images_per_second'] == pytest.approx(4000 / one['milliseconds'])
    dense, published, naive = (figures['runs'][n] for n in ('dense', 'published', 'naive'))
    assert dense['ratio'] == 1
    assert published['waits'] == dense['waits'] < naive['waits']
    assert published['operations'] > dense['operations']


def test_every_setting_reaches_the_runs(benchmark, monkeypatch, capsys):
    arguments = ['--config', DIGITS, '--turns', '1', '--warm-up', '1', '--batch-size', '4']
    arguments += ['--amp', 'bf16', '--runs', 'published', '--keep-ratio', '0.5']
    assert run(benchmark, monkeypatch, *arguments) == 0
    assert 'RG, published' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--config', 'missing.py'], 'config=missing.py: there is no such file'),
        (['--config', DIGITS, '--keep-ratio', '1.5'], '--keep-ratio=1.5: must be a number'),
        (['--device', 'cuda'], '--device cuda: PyTorch sees no GPU'),
    ],
)
def test_bad_input_is_one_line(benchmark, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert run(benchmark, monkeypatch, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'error: {message}')


@pytest.mark.slow
def test_attaching_is_timed_at_each_size(tmp_path):
    command = [sys.executable, str(ROOT / 'tools' / 'benchmark_attach.py')]
    arguments = ['--sizes', '8', '16', '--trials', '1', '--batch-size', '1']
    result = subprocess.run(
        [*command, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    rows = [line.split('│')[1:] for line in result.stdout.splitlines() if '│' in line]
    assert [row[0].strip() for row in rows] == ['8', '16']
    assert all(float(row[3]) > 0 for row in rows)


def test_numbers_are_positive(benchmark, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(benchmark, monkeypatch, '--turns', '0')
    assert 'argument --turns: 0 must be an integer of at least 1' in capsys.readouterr().err


def test_a_size_that_stylegan2_does_not_have_is_one_line(monkeypatch, capsys):
    attach = load_tool('benchmark_attach')
    monkeypatch.setattr(sys, 'argv', ['benchmark_attach.py', '--sizes', '7'])
    assert attach.run(attach.benchmark) == 1
    assert capsys.readouterr().err.startswith('error: --sizes 7: must be one of 8, 16, 32')
