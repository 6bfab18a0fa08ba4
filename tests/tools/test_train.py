"""The commands, as a person runs them."""

import os
import subprocess
import sys
from pathlib import Path

import cifar_archive
import mmagic
import pytest
from mmengine.config import Config
from tiny import DIGITS, ROOT, TINY, tiny_options
from tool_modules import TOOLS, load_command

train = load_command('train')
TRAIN = TOOLS / 'train.py'
CIFAR = ROOT / 'configs' / 'rg_sngan_cifar10_10pct.py'
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


@pytest.mark.slow
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
    text = ' '.join(summary(work_dir).split())
    for part in ('best digits/fid', 'n_real 360', 'n_fake 20', 'Digits test', 'digits-v1'):
        assert part in text
    assert 'keep ratio of generator' in text
    assert 'phase switches' in text


@pytest.mark.slow
def test_stock_trainer_runs_the_config_from_an_empty_folder(tmp_path):
    result = run(STOCK, DIGITS, '--cfg-options', *SMALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert 'DynamicPruningHook: generator: 8 layers pruned' in result.stdout
    assert (tmp_path / 'work_dirs' / 'rg_sngan_digits_10pct' / 'curves.png').exists()


@pytest.mark.slow
def test_cifar10_from_a_mirror_with_the_published_options(tmp_path):
    published = (
        '--batch_size 8 --epoch 3 --eva_epoch 1 --data_ratio 0.2 --diffaug --lambda 1e-9 '
        '--dataroot ./dataset'
    )
    with cifar_archive.serve(images=20) as served:
        changes = {
            **tiny_options(CIFAR),
            **served.options,
            'train_cfg.max_iters': 3,
            'train_dataloader.num_workers': 1,
            'train_dataloader.persistent_workers': True,
            'model.discriminator_steps': 1,
        }
        options = [f'{key}={value}' for key, value in changes.items() if kept(key)]
        result = run(TRAIN, CIFAR, *published.split(), '--cfg-options', *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / 'dataset' / cifar_archive.NAME).exists()
    work_dir = tmp_path / 'work_dirs' / CIFAR.stem
    config = Config.fromfile(work_dir / CIFAR.name)
    assert (config.epochs, config.eval_epochs) == (3, 1)
    assert config.train_cfg == {'by_epoch': False, 'max_iters': 3, 'val_interval': 1}
    assert config.train_dataloader.persistent_workers
    assert 'DiffAugmentHook' in [hook.type for hook in config.custom_hooks]
    assert 'rg_hooks' not in config
    assert 'diffaug_hooks' not in config
    assert 'n_fake 20' in ' '.join(summary(work_dir).split())


def kept(key):
    """Options of tiny runs that do not undo what the published options say."""
    given = ('train_dataloader.batch_size', 'data_root', 'Hook')
    return not any(part in key for part in given)


def summary(work_dir):
    result = run(ROOT / 'tools' / 'analysis' / 'summary.py', work_dir, cwd=work_dir)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['missing.py'], 'config=missing.py: there is no such file'),
        ([DIGITS, '--cfg-options', 'rg_hooks.pruning.lamda=1'], 'unknown argument lamda=1'),
        ([DIGITS, '--resume', 'missing.pth'], 'checkpoint missing.pth does not exist'),
        (
            [ROOT / 'configs' / 'rg_dcgan_folder_64.py', '--dataroot', 'nowhere'],
            'there is no nowhere/; --dataroot names the images',
        ),
        ([ROOT / 'README.md'], 'a config ends in .py, .yml, .yaml, .json'),
        (
            [DIGITS, '--cfg-options', 'rg_hooks.pruning.lam.generator=1'],
            '--cfg-options: lam={',
        ),
    ],
    ids=['config', 'argument', 'checkpoint', 'folder', 'no config', 'kind'],
)
def test_bad_input_is_one_line_without_a_traceback(tmp_path, arguments, message):
    result = run(TRAIN, *arguments, cwd=tmp_path)
    assert result.returncode == 1
    (line,) = error_lines(result)
    assert message in line
    assert 'Traceback' not in result.stderr


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--lambda', 'nan'], 'lam='),
        (
            [
                '--cfg-options',
                'train_dataloader.dataset.url=http://127.0.0.1:9/x.tar.gz',
                'experiment_name=no_network',  # MMEngine shares what two runs of one name draw on
            ],
            'could not be downloaded from http://127.0.0.1:9/x.tar.gz',
        ),
    ],
    ids=['option', 'network'],
)
def test_so_is_bad_input_to_a_cifar10_config(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(TRAIN), str(CIFAR), *arguments])
    assert train.main() == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert message in line


def test_summary_of_nothing_is_one_line(tmp_path):
    result = run(ROOT / 'tools' / 'analysis' / 'summary.py', tmp_path, cwd=tmp_path)
    assert result.returncode == 1
    assert 'no record of evaluations there' in error_lines(result)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['missing.py', 'x.pth'], 'config=missing.py: there is no such file'),
        ([DIGITS, 'missing.pth'], 'checkpoint missing.pth does not exist'),
    ],
)
def test_the_test_command_refuses_bad_input_in_one_line(tmp_path, arguments, message):
    result = run(TOOLS / 'test.py', *arguments, cwd=tmp_path)
    assert result.returncode == 1
    (line,) = error_lines(result)
    assert message in line
