"""Bad input ends in one clear error before the first iteration."""

import math

import pytest
import torch
from mmengine.hooks import Hook
from tiny import DIGITS, ROOT, Records, hook_of, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DenseMergeHook
from rggan_mm.hooks.discovery import sparse_networks

DENSE = ROOT / 'configs' / 'sngan_digits_10pct.py'
PRUNING = dict(type='DynamicPruningHook')
MERGE = dict(type='DenseMergeHook', metric='digits/fid')


class NoIteration(Hook):
    """Fails the test if training starts."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        pytest.fail('an iteration ran')


BAD = {
    'unknown argument': (
        {'DynamicPruningHook.lamda': 1e-9},
        r'unknown argument lamda=1e-09 \(did you mean lam\?\); DynamicPruningHook takes: lam, mode',
    ),
    'negative lam': ({'DynamicPruningHook.lam': -1e-9}, r'lam=-1e-09 must be a finite number >= 0'),
    'NaN lam': ({'DynamicPruningHook.lam': math.nan}, r'lam=nan must be a finite number >= 0'),
    'mode': ({'DynamicPruningHook.mode': 'dst'}, r"mode='dst' must be one of published, ste"),
    'min_keep 1': (
        {'RegenerationHook.min_keep': 1.0},
        r'min_keep=1.0 must be a number in \[0, 1\)',
    ),
    'min_keep < 0': ({'RegenerationHook.min_keep': -0.1}, r'min_keep=-0.1 must be'),
    'min_keep None': ({'RegenerationHook.min_keep': None}, r'min_keep=None must be'),
    'metric': (
        {'DenseMergeHook.metric': 'FID/fid'},
        r"metric='FID/fid' is not produced by val_evaluator; there is: digits/fid",
    ),
    'metric of MMagic': (
        {
            'CurvesHook.metric': 'FID/avg',
            'default_hooks.checkpoint.save_best': 'FID/avg',
            'DenseMergeHook.metric': 'FID/typo',
            'val_evaluator': [
                dict(type='MultiScaleStructureSimilarity', fake_nums=4, prefix='FID')
            ],
        },
        r"metric='FID/typo' is not produced by val_evaluator; there is: FID/avg$",
    ),
    'lr': ({'DynamicPruningHook.lr': -1}, r'lr=-1, .*not what Adam takes'),
    'betas': ({'DynamicPruningHook.betas': [0.9]}, r'betas=\[0.9\], .*not what Adam takes'),
    'eps': ({'DynamicPruningHook.eps': 'x'}, r"eps='x'"),
    'weights of no list': ({'DenseMergeHook.weights': 5}, r'weights=5 must be a list of numbers'),
    'argument of a hook without any': (
        {'custom_hooks': [dict(type='DataCheckHook', args=1)]},
        r'unknown argument args=1; DataCheckHook takes: no arguments',
    ),
    'empty metric': ({'DenseMergeHook.metric': ''}, r"metric='' must be the name of a metric"),
    'weights': ({'DenseMergeHook.weights': [0.5, 0.6]}, r'weights=\(0.5, 0.6\) must be positive'),
    'network': (
        {'DynamicPruningHook.networks': ['generater']},
        r"networks: there is no 'generater' \(did you mean generator\?\); there is: generator,",
    ),
    'no validation': (
        {
            'val_cfg': None,
            'val_dataloader': None,
            'val_evaluator': None,
            'custom_hooks': [PRUNING, MERGE],
        },
        r'DenseMergeHook: metric=.* needs validation, but this run has none',
    ),
    'validation comes too seldom': (
        {'train_cfg.val_interval': 100},
        r'val_interval=100 is more than the 6 of this run',
    ),
    'validation begins too late': (
        {'train_cfg.val_begin': 100},
        r'needs validation, but this run has none',
    ),
    'best checkpoint': (
        {'default_hooks.checkpoint.save_best': 'inception/fid'},
        r"default_hooks.checkpoint.save_best='inception/fid' is not produced by val_evaluator; "
        r'there is: digits/fid',
    ),
    'validation never': (
        {'train_cfg.val_interval': 0},
        r'train_cfg.val_interval=0',
    ),
    'more real images than there are': (
        {
            'val_evaluator': [
                dict(type='SWD', prefix='swd', fake_nums=999, image_shape=(3, 16, 16)),
            ],
            'default_hooks.checkpoint.save_best': None,
        },
        r'SlicedWassersteinDistance wants real_nums=999 real images, val_dataloader holds 360',
    ),
    'more reals than there are, ours': (
        {'val_evaluator.metrics.0.real_nums': 361},
        r'real_nums=361, but the validation set has 360 images',
    ),
    'no average': (
        {'val_evaluator.metrics.0.sample_model': 'ema', 'model.ema_config': None},
        r"sample_model='ema', but .* has no averaged generator",
    ),
    "no average for MMagic's": (
        {
            'model.ema_config': None,
            'val_evaluator': [
                dict(type='SWD', prefix='swd', fake_nums=9, image_shape=(3, 16, 16)),
            ],
            'default_hooks.checkpoint.save_best': None,
        },
        r"SlicedWassersteinDistance has sample_model='ema', but .* has no averaged generator",
    ),
    'no pruning hook': ({'custom_hooks': [MERGE]}, r'DenseMergeHook: no network is sparse'),
    'guard alone': (
        {'custom_hooks': [dict(type='RegenerationHook')]},
        r'RegenerationHook: no network is sparse',
    ),
    'smaller than a batch': (
        {'train_dataloader.batch_size': 200},
        r'143 images are fewer than batch_size=200; raise data_ratio or lower batch_size',
    ),
    'data_ratio': (
        {'train_dataloader.dataset.data_ratio': 0},
        r'data_ratio must be a number in \(0, 1\], but got 0',
    ),
    'policy': (
        {'custom_hooks': [dict(type='DiffAugmentHook', policy='colour')]},
        r"policy='colour' has the unknown augmentation 'colour'; valid are color",
    ),
    'discriminator': (
        {'custom_hooks': [dict(type='DiffAugmentHook', discriminators=['critic'])]},
        r"discriminators=\['critic'\]: the model has .*discriminator",
    ),
    'curve metric': (
        {'CurvesHook.metric': 'digits/kid'},
        r"CurvesHook: metric='digits/kid' is not produced",
    ),
    'rows': ({'SampleGridHook.rows': 0}, r'rows=0'),
    'checkpoint': ({'load_from': 'missing.pth'}, r'checkpoint missing.pth does not exist'),
}


def train_no_iteration(work_dir, overrides):
    runner = tiny_runner(work_dir, **overrides)
    runner.register_hook(NoIteration())
    runner.train()


@pytest.mark.parametrize('name', BAD)
def test_refused_before_training(tmp_path, name):
    overrides, message = BAD[name]
    with pytest.raises(ConfigError, match=message):
        train_no_iteration(tmp_path, overrides)
    assert not list(tmp_path.glob('*.pth'))


def test_nothing_prunable(tmp_path):
    class Plain(torch.nn.Module):
        noise_size = 2

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

    runner = tiny_runner(tmp_path)
    runner.model.generator = Plain()
    runner.model.discriminator = Plain()
    with pytest.raises(ConfigError, match='GGAN: nothing is prunable in generator, discriminator'):
        runner.call_hook('before_run')


def trained(tmp_path, path=DIGITS, **overrides):
    runner = tiny_runner(tmp_path, path, train_cfg__max_iters=2, **overrides)
    runner.train()
    return tmp_path / 'iter_2.pth'


def test_resume_without_thresholds_is_refused_but_load_from_starts(tmp_path):
    dense = trained(tmp_path / 'dense', DENSE)
    with pytest.raises(
        ConfigError, match=r'has no thresholds.*set load_from to it and resume=False'
    ):
        tiny_runner(tmp_path / 'rg', resume=True, load_from=str(dense)).train()
    runner = tiny_runner(tmp_path / 'rg', load_from=str(dense), train_cfg__max_iters=1)
    records = Records(runner)
    runner.train()
    assert records.having('no thresholds')
    assert runner.iter == 1


GENERATOR_ONLY = {'DynamicPruningHook.networks': ['generator']}


@pytest.mark.parametrize(
    ('saved', 'resumed', 'message'),
    [
        (
            {},
            {'model.generator.base_channels': 8},
            r'generator\.\S+ has shape .* in the checkpoint',
        ),
        (GENERATOR_ONLY, {}, r'the checkpoint has no discriminator\.\S+'),
        ({}, GENERATOR_ONLY, r'the model has no discriminator\.\S+'),
    ],
    ids=['other shapes', 'more layers', 'fewer layers'],
)
def test_resume_of_another_model_is_refused(tmp_path, saved, resumed, message):
    checkpoint = trained(tmp_path / 'a', **saved)
    with pytest.raises(ConfigError, match=f'resume: {message}'):
        tiny_runner(tmp_path / 'b', resume=True, load_from=str(checkpoint), **resumed).train()


def test_corrupt_checkpoint_is_refused(tmp_path):
    checkpoint = trained(tmp_path / 'a')
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r'iter_2\.pth is not readable as a checkpoint'):
        tiny_runner(tmp_path / 'a', resume=True).train()


def test_corrupt_history_is_refused(tmp_path):
    trained(tmp_path)
    (tmp_path / 'phase_history.json').write_text('[{"iter": 1')
    with pytest.raises(ConfigError, match=r'phase_history\.json is not a history'):
        tiny_runner(tmp_path, resume=True).train()


def test_refused_start_leaves_the_records_of_an_earlier_run(tmp_path):
    trained(tmp_path)
    before = (tmp_path / 'evaluations.json').read_text()
    hooks = [
        dict(type='CurvesHook', metric='digits/fid'),
        dict(type='DiffAugmentHook', discriminators=['critic']),
    ]
    runner = tiny_runner(tmp_path, custom_hooks=hooks)
    with pytest.raises(ConfigError, match='critic'):
        runner.train()
    assert (tmp_path / 'evaluations.json').read_text() == before


def test_few_validations_are_warned_of(tmp_path):
    runner = tiny_runner(tmp_path, train_cfg__max_iters=2)
    records = Records(runner)
    runner.train()
    assert records.having('2 validations in this run; the phase rule acts after 5')


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_metric_that_is_not_finite_is_logged_and_kept_out(tmp_path, value):
    runner = tiny_runner(tmp_path)
    records = Records(runner)

    class Broken(Hook):
        priority = 'VERY_HIGH'

        def after_val_epoch(self, runner, metrics=None):
            if runner.iter in (2, 4):
                metrics['digits/fid'] = value

    runner.register_hook(Broken())
    runner.train()
    merge = hook_of(runner, DenseMergeHook)
    assert runner.iter == 6
    assert len(merge.rule.values) == 4
    assert [r['iter'] for r in merge.history.records if r['value'] is None] == [2, 4]
    assert len(records.having('kept out of the phase rule')) == 2
    assert (tmp_path / 'curves.png').exists()
    assert all(network.sparse for network in sparse_networks(runner.model).values())
