"""The commands, as a person runs them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import mmagic
import pytest
from mmengine.config import Config, ConfigDict
from tiny import DIGITS, ROOT, TINY

TRAIN = ROOT / 'tools' / 'train.py'
STOCK = Path(mmagic.__file__).parent / '.mim' / 'tools' / 'train.py'
SMALL = [f'{key}={value}' for key, value in TINY.items()]


def run(script, *arguments, cwd):
    """Runs a command away from the checkout; returns status, stdout and stderr."""
    command = [sys.executable, str(script), *map(str, arguments)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    environment.pop('PYTHONPATH', None)
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def error_lines(result):
    return [line for line in result.stderr.splitlines() if line.startswith('error: ')]


def test_train_then_resume_then_summary(tmp_path):
    first = run(TRAIN, DIGITS, '--cfg-options', *SMALL, cwd=tmp_path)
    assert first.returncode == 0, first.stderr[-2000:]
    work_dir = tmp_path / 'work_dirs' / 'rg_sngan_digits_10pct'
    assert (work_dir / 'iter_6.pth').exists()
    more = [*SMALL, 'train_cfg.max_iters=7']
    second = run(TRAIN, DIGITS, '--resume', '--cfg-options', *more, cwd=tmp_path)
    assert second.returncode == 0, second.stderr[-2000:]
    assert 'resumed epoch: 0, iter: 6' in second.stdout
    assert (work_dir / 'iter_7.pth').exists()
    result = run(ROOT / 'tools' / 'analysis' / 'summary.py', work_dir, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    text = ' '.join(result.stdout.split())
    for part in ('best digits/fid', 'n_real 360', 'n_fake 20', 'Digits test', 'digits-v1'):
        assert part in text
    assert 'kept in generator' in text
    assert 'phase switches' in text


def test_stock_trainer_runs_the_config_from_an_empty_folder(tmp_path):
    result = run(STOCK, DIGITS, '--cfg-options', *SMALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert 'DynamicPruningHook: generator: 8 layers' in result.stdout
    assert (tmp_path / 'work_dirs' / 'rg_sngan_digits_10pct' / 'curves.png').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['missing.py'], 'config=missing.py: there is no such file'),
        ([DIGITS, '--cfg-options', 'custom_hooks.0.lamda=1'], 'unknown argument lamda=1'),
        ([DIGITS, '--resume', 'missing.pth'], 'checkpoint missing.pth does not exist'),
    ],
    ids=['config', 'argument', 'checkpoint'],
)
def test_bad_input_is_one_line_without_a_traceback(tmp_path, arguments, message):
    result = run(TRAIN, *arguments, cwd=tmp_path)
    assert result.returncode == 1
    (line,) = error_lines(result)
    assert message in line
    assert 'Traceback' not in result.stderr


def test_summary_of_nothing_is_one_line(tmp_path):
    result = run(ROOT / 'tools' / 'analysis' / 'summary.py', tmp_path, cwd=tmp_path)
    assert result.returncode == 1
    assert 'no record of evaluations there' in error_lines(result)[0]


def test_amp_reaches_every_optimiser():
    spec = importlib.util.spec_from_file_location('train', TRAIN)
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    config = Config.fromfile(DIGITS)
    train.use_mixed_precision(config.optim_wrapper)
    for name in ('generator', 'discriminator'):
        assert config.optim_wrapper[name].type == 'AmpOptimWrapper'
        assert config.optim_wrapper[name].loss_scale == 'dynamic'
    assert 'type' not in config.optim_wrapper
    single = ConfigDict(type='OptimWrapper', optimizer=dict(type='Adam'))
    train.use_mixed_precision(single)
    assert single.type == 'AmpOptimWrapper'
