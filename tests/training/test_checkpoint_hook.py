"""A resumed run saves what an uninterrupted one saves."""

import itertools

import pytest
from tiny import tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation import GANMetrics

KEEP_ALL = {'default_hooks.checkpoint.max_keep_ckpts': -1}
STOPPED = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2}
RESUMED = {'train_cfg.max_iters': 4, 'train_cfg.val_interval': 3}


@pytest.fixture
def ever_better(monkeypatch):
    """Every evaluation is the best so far."""
    fids = itertools.count(100, -1)
    compute = GANMetrics.compute_metrics
    monkeypatch.setattr(
        GANMetrics,
        'compute_metrics',
        lambda *args: {**compute(*args), 'fid': float(next(fids))},
    )


def stop_and_go(folder):
    """Trains to iteration 2, resumes to 4, and names the checkpoints."""
    tiny_runner(folder, **KEEP_ALL, **STOPPED).train()
    tiny_runner(folder, **KEEP_ALL, **RESUMED, resume=True).train()
    return names(folder)


def names(folder):
    return sorted(path.name for path in folder.glob('iter_*.pth'))


@pytest.mark.usefixtures('ever_better')
def test_a_resumed_run_saves_itself_beside_the_best_as_an_uninterrupted_one_does(tmp_path):
    tiny_runner(tmp_path / 'whole', **KEEP_ALL, **RESUMED).train()
    assert 'iter_3.pth' in names(tmp_path / 'whole')
    assert stop_and_go(tmp_path / 'stopped') == names(tmp_path / 'whole')


def test_an_argument_that_nobody_knows_is_refused_before_training(tmp_path):
    changes = {'default_hooks.checkpoint.intervall': 5}
    with pytest.raises(ConfigError, match=r'intervall=5 \(did you mean interval\?\)'):
        tiny_runner(tmp_path, **changes)
