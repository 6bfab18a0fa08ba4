"""Every config: train, save, resume, compare; then test the checkpoint."""

import json

import pytest
import torch
from mmengine.hooks import Hook
from run_state import Snapshot, assert_same
from tiny import ROOT, tiny_runner

from rggan_mm.hooks.discovery import sparse_networks

# The others are examples of MMagic's families: tests/test_example_configs.py.
OURS = [(ROOT / 'configs').glob(pattern) for pattern in ('*sngan*.py', '*dcgan_faces*.py')]
CONFIGS = sorted(path for paths in OURS for path in paths)
VARIANTS = [(path, mode) for path in CONFIGS for mode in ('published', 'ste')]
VARIANTS = [(p, m) for p, m in VARIANTS if p.stem.startswith('rg_') or m == 'published']
# Changes of masks and phases within a few iterations, with a generator step in each.
EVERY_STEP = {'model.discriminator_steps': 1}
BASELINES = {
    'static': EVERY_STEP,
    'regan': {**EVERY_STEP, 'ReGANHook.warmup': 2, 'ReGANHook.interval': 2, 'ReGANHook.epoch': 1},
    'sdst': {**EVERY_STEP, 'DynamicSparseHook.interval': 2},
}
REPRESENTATIVE = (
    'rg_sngan_digits_10pct',
    'rg_sngan_cifar10_10pct_diffaug',
    *(f'{name}_sngan_digits_35' for name in BASELINES),
)


def parameters(path, *values):
    """A config as parameters; those that do not represent others are slow."""
    marks = () if path.stem in REPRESENTATIVE else pytest.mark.slow
    return pytest.param(path, *values, id='-'.join([path.stem, *values]), marks=marks)


class Metrics(Hook):
    """Keeps what a test reports; MMagic's test loop does not return it."""

    def after_test_epoch(self, runner, metrics=None):
        self.metrics = metrics


def options(path, mode):
    if not path.stem.startswith('rg_'):
        return BASELINES.get(path.stem.partition('_')[0], {})
    # Thresholds fast enough for the guard to act within a few iterations.
    return {
        'DynamicPruningHook.mode': mode,
        'DynamicPruningHook.lam': 1.0,
        'DynamicPruningHook.keep_ratio': None,
        'DynamicPruningHook.reach': None,
        'DynamicPruningHook.lr': 0.05,
        'RegenerationHook.min_keep': 0.5,
    }


@pytest.mark.parametrize(('path', 'mode'), [parameters(*variant) for variant in VARIANTS])
def test_train_save_resume_compare(tmp_path, path, mode):
    first, second = Snapshot(), Snapshot()
    runner = tiny_runner(tmp_path, path, **options(path, mode))
    runner.register_hook(first)
    runner.train()
    if first.end['sparse']:
        phases = set(first.end['sparse'].values())
        if path.stem.startswith('rg_'):
            assert phases == {first.end['history'][-1]['sparse']}
            assert sum(map(len, first.end['guard'].values())) > 0
            assert len(first.end['history']) == 6
        else:  # two iterations of warm-up, two sparse, two dense
            assert phases == {not path.stem.startswith('regan')}
    runner = tiny_runner(tmp_path, path, resume=True, train_cfg__max_iters=8, **options(path, mode))
    runner.register_hook(second)
    runner.train()
    assert runner.iter == 8
    assert_same(second.start, first.end)
    moved = {k for k, v in second.end['model'].items() if not torch.equal(v, first.end['model'][k])}
    assert any('weight' in key for key in moved)


@pytest.mark.parametrize('path', [parameters(path) for path in CONFIGS])
def test_best_checkpoint_tests_as_it_was_evaluated(tmp_path, path):
    runner = tiny_runner(tmp_path, path, **options(path, 'published'))
    runner.train()
    records = json.loads((tmp_path / 'evaluations.json').read_text())
    best = min(records, key=lambda record: record['metrics']['digits/fid'])
    (checkpoint,) = tmp_path.glob('best_*.pth')
    assert checkpoint.stem.endswith(f'_{best["iter"]}')
    runner = tiny_runner(
        tmp_path / 'test', path, load_from=str(checkpoint), **options(path, 'published')
    )
    tested = Metrics()
    runner.register_hook(tested)
    runner.test()
    assert tested.metrics['digits/n_fake'] == 20
    for network in sparse_networks(runner.model).values():
        assert network.sparse == best['sparse']
