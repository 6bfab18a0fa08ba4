"""The CIFAR-10 suite: what its configs say, and that each of them trains."""

import itertools
import json
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny import ROOT, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.hooks.discovery import sparse_networks
from rggan_mm.hooks.groups import hooks_of
from rggan_mm.schedule import train_schedule

FOLDER = ROOT / 'configs'
RATIOS = {'10pct': 0.1, '20pct': 0.2, '100pct': 1.0}
SUITE = {
    f'{method}_cifar10_{share}{diffaug}': (method, share, diffaug)
    for method, share, diffaug in itertools.product(('sngan', 'rg_sngan'), RATIOS, ('', '_diffaug'))
}
RG_HOOKS = ['DynamicPruningHook', 'RegenerationHook', 'DenseMergeHook']
FULL_SIZE = {
    'model.generator.base_channels': 256,
    'model.discriminator.base_channels': 128,
    'model.discriminator_steps': 1,  # or two iterations would not reach the generator's step
    'train_dataloader.batch_size': 2,
    'train_cfg.max_iters': 2,
    'train_cfg.val_interval': 2,
    'val_evaluator.metrics.0.fake_nums': 10,
    'default_hooks.checkpoint.interval': 10,
    'default_hooks.checkpoint.save_best': None,
    'SampleGridHook.rows': 1,
}


# One with and one without RG-GAN and DiffAugment stand for the others.
QUICK = ('sngan_cifar10_100pct', 'rg_sngan_cifar10_10pct_diffaug')
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in SUITE if name not in QUICK]


@pytest.fixture(params=SUITE)
def name(request):
    return request.param


def load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


def types(config):
    return [hook.type for hook in hooks_of(config)]


def test_the_suite_is_complete():
    assert {path.stem for path in FOLDER.glob('*sngan_cifar10*.py')} == set(SUITE)


def test_schedule_and_data(name):
    config, ratio = load(name), RATIOS[SUITE[name][1]]
    assert config.train_dataloader.dataset.data_ratio == ratio
    assert config.train_cfg.max_iters == {0.1: 79_000, 0.2: 157_000, 1.0: 782_000}[ratio]
    assert config.train_cfg.max_iters == 200 * config.train_cfg.val_interval
    assert config.train_cfg == {'by_epoch': False, **train_schedule(config)}
    assert config.train_dataloader.batch_size == 64
    for loader in (config.val_dataloader, config.test_dataloader):
        assert loader.dataset.data_root == config.train_dataloader.dataset.data_root
        assert (loader.dataset.test_mode, loader.dataset.data_ratio) == (True, 1.0)


def test_hooks(name):
    method, _, diffaug = SUITE[name]
    config = load(name)
    assert (types(config)[:3] == RG_HOOKS) == (method == 'rg_sngan')
    assert ('DiffAugmentHook' in types(config)) == bool(diffaug)
    assert len(set(types(config))) == len(types(config))
    if method == 'rg_sngan':
        assert (config.rg_hooks.pruning.lam, config.rg_hooks.pruning.lr) == (1e-13, 2e-4)


def test_one_metric_everywhere(name):
    config = load(name)
    assert config.default_hooks.checkpoint.save_best == 'inception/fid'
    assert not any('metric' in hook for hook in hooks_of(config))  # they find it
    (val,), (test,) = config.val_evaluator.metrics, config.test_evaluator.metrics
    assert (val.fake_nums, val.is_when, test.is_when) == (10_000, 'best', 'always')
    assert {**val, 'is_when': ''} == {**test, 'is_when': ''}


def test_published_training(name):
    config = load(name)
    assert config.model.noise_size == 128
    assert config.model.discriminator_steps == 5
    assert config.model.ema_config.momentum == 0.001
    start = 'SAGAN' if SUITE[name][0] == 'rg_sngan' else 'SNGAN'
    for network in ('generator', 'discriminator'):
        adam = config.optim_wrapper[network].optimizer
        assert (adam.type, adam.lr, tuple(adam.betas)) == ('Adam', 2e-4, (0.0, 0.9))
        assert config.model[network].init_cfg.type == start


def test_command_line_reaches_the_pruning_hook(name):
    config = load(name)
    config.merge_from_dict({'rg_hooks.pruning.lam': 3.0})
    if SUITE[name][0] == 'rg_sngan':
        assert hooks_of(config)[0].lam == 3.0
    else:
        with pytest.raises(ConfigError, match=r'^rg_hooks\.pruning='):
            hooks_of(config)


class Weights(Hook):
    """The weights ahead of training."""

    priority = 'LOWEST'

    def before_train(self, runner):
        self.start = {k: v.clone() for k, v in runner.model.state_dict().items()}


@pytest.mark.parametrize('name', [*QUICK, *OTHERS], indirect=True)
def test_two_iterations_at_full_size(tmp_path, name):
    runner = tiny_runner(tmp_path, FOLDER / f'{name}.py', **FULL_SIZE)
    weights = Weights()
    runner.register_hook(weights)
    runner.train()
    state = runner.model.state_dict()
    moved = {k for k, v in state.items() if not torch.equal(v, weights.start[k])}
    for network in ('generator.', 'discriminator.', 'generator_ema.'):
        assert any(key.startswith(network) and 'weight' in key for key in moved)
    is_rg = SUITE[name][0] == 'rg_sngan'
    assert bool(sparse_networks(runner.model)) == is_rg
    assert any(key.endswith('threshold') for key in moved) == is_rg
    (record,) = json.loads((tmp_path / 'evaluations.json').read_text())
    assert record['metrics']['digits/reference'] == 'CIFAR10 test'
    assert {'digits/fid', 'digits/is'} <= record['metrics'].keys()


def test_mmagics_metrics_as_the_docs_put_them_in(tmp_path):
    text = (ROOT / 'docs' / 'configs.md').read_text()
    (example,) = (
        block for block in re.findall(r'```python\n(.*?)```', text, re.S) if 'mmagic' in block
    )
    path = tmp_path / 'mine.py'
    path.write_text(example.replace("'./", f"'{FOLDER}/"))
    config = Config.fromfile(path)
    for evaluator in (config.val_evaluator, config.test_evaluator):
        fid, score = evaluator.metrics
        assert (fid.type, fid.prefix) == ('FrechetInceptionDistance', 'FID-Full')
        assert (score.type, score.prefix) == ('InceptionScore', 'IS')
        # MMagic's own name for the file is the same for the training split.
        assert 'cifar10_test' in fid.inception_pkl
    assert config.default_hooks.checkpoint.save_best == 'FID-Full/fid'
    assert types(config)[:3] == RG_HOOKS
