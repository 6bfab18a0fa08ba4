"""The user's command on a small archive in CIFAR-10's format, with random Inception weights.

Real download, unpacking, checksums, Inception, phase rule, best checkpoint and resume; only
images, weights and widths are small or made up, so no number means anything.
"""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import cifar_archive
import pytest
import torch
from random_inception import random_inception_file
from tiny import ROOT

from rggan_mm.pruning import PhaseRule

CONFIG = 'configs/rg_sngan_cifar10_10pct.py'
LONGER = 7
SMALL = {
    'train_cfg.val_interval': 2,
    'train_dataloader.dataset.data_ratio': 1.0,
    'model.generator.base_channels': 4,
    'model.discriminator.base_channels': 4,
    'default_hooks.checkpoint.interval': 2,
    'val_evaluator.metrics.0.is_splits': 2,
    'val_evaluator.metrics.0.fake_nums': 10,
    **{
        f'{part}_dataloader.{name}': value
        for part in ('train', 'val', 'test')
        for name, value in (('num_workers', 0), ('persistent_workers', False))
    },
}


def command(folder, served, weights, evaluations, *more):
    """Runs tools/train.py for so many evaluations."""
    options = {
        **SMALL,
        **served.options,
        'val_evaluator.metrics.0.extractor.weights': weights,
        'train_cfg.max_iters': 2 * evaluations,
    }
    published = ['--batch-size', 8, '--dataroot', folder / 'data']
    changes = [f'{name}={value}' for name, value in options.items()]
    arguments = [*published, '--work-dir', folder / 'work', *more, '--cfg-options', *changes]
    done = subprocess.run(
        [sys.executable, 'tools/train.py', CONFIG, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Six evaluations, then a resume to the seventh."""
    folder = tmp_path_factory.mktemp('cifar10')
    weights = random_inception_file(tmp_path_factory)
    with cifar_archive.serve(images=20) as served:
        first = command(folder, served, weights, LONGER - 1)
        downloads = len(served.requests)
        second = command(folder, served, weights, LONGER, '--resume')
        assert (downloads, len(served.requests)) == (1, 1)
    records = json.loads((folder / 'work' / 'evaluations.json').read_text())
    history = json.loads((folder / 'work' / 'phase_history.json').read_text())
    return SimpleNamespace(
        folder=folder / 'work', first=first, second=second, records=records, history=history
    )


@pytest.mark.slow
def test_it_trains_evaluates_and_resumes(run):
    assert 'resumed epoch: 0, iter: 12' in run.second
    assert 'computed now' in run.first
    assert 'found in' in run.second
    assert [record['iter'] for record in run.records] == [2 * i for i in range(1, LONGER + 1)]
    for record in run.records:
        metrics = record['metrics']
        assert (metrics['inception/n_real'], metrics['inception/n_fake']) == (20, 10)
        assert metrics['inception/reference'] == 'CIFAR10 test'
        assert metrics['inception/resize'] == 'bilinear 299'
        # Never the name of the published weights.
        assert metrics['inception/extractor'] != 'inception-2015-12-05'


@pytest.mark.slow
def test_phases_follow_the_rule_over_the_resume(run):
    rule = PhaseRule()
    for record, metrics in zip(run.history, run.records, strict=True):
        assert record['value'] == metrics['metrics']['inception/fid']
        assert record['switched'] == rule.update(record['value'])
        assert record['sparse'] == rule.sparse
    assert len(run.history) > 5  # the rule acts from the fifth on


@pytest.mark.slow
def test_the_score_comes_with_the_best_and_the_best_is_kept(run):
    values = [record['metrics']['inception/fid'] for record in run.records]
    for i, record in enumerate(run.records):
        assert ('inception/is' in record['metrics']) == (values[i] == min(values[: i + 1]))
    (best,) = run.folder.glob('best_inception_fid_iter_*.pth')
    assert best.stem.endswith(f'_{2 * values.index(min(values)) + 2}')
    assert 'state_dict' in torch.load(best, weights_only=True)
