"""The published command line, on the config that a run would dump."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from tiny import DIGITS, ROOT
from tool_modules import TOOLS, load_tool

from rggan_mm.commands.published_options import OPTIONS, apply_options
from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import hooks_of, kind_of

train = load_tool('train')
TRAIN = TOOLS / 'train.py'
RG = ROOT / 'configs' / 'rg_sngan_cifar10_10pct.py'
DENSE = ROOT / 'configs' / 'sngan_cifar10_10pct.py'


@pytest.fixture
def load(monkeypatch):
    """The config of a command line."""

    def load(*arguments, path=RG):
        monkeypatch.setattr(sys, 'argv', [str(TRAIN), str(path), *map(str, arguments)])
        return train.load_config(train.parse_args())

    return load


def hooks(config, kind):
    return [hook for hook in hooks_of(config) if kind_of(hook) == kind]


def test_the_published_command_line_changes_nothing_but_the_folder(load):
    published = (
        '--epoch 1000 --batch_size 64 --lr 2e-4 --n_critic 5 --workers 4 --dataroot ./dataset '
        '--data_ratio 0.1 --eva_epoch 5 --eva_size 10000 --lambda 1e-13'
    )
    config, plain = load(*published.split()), load()
    for name in ('train', 'val', 'test'):
        assert config[f'{name}_dataloader'].dataset.pop('data_root') == './dataset'
        assert plain[f'{name}_dataloader'].dataset.pop('data_root') == 'data/cifar10'
    assert config.to_dict() == plain.to_dict()


# Option, value, and what it has to leave in the config, by field.
SETS = [
    ('epoch', 10, {'epochs': 10, 'train_cfg.max_iters': 790, 'train_cfg.val_interval': 395}),
    ('batch_size', 50, {'train_dataloader.batch_size': 50, 'train_cfg.max_iters': 100_000}),
    ('batch-size', 50, {'train_cfg.val_interval': 500}),
    (
        'data_ratio',
        0.02,
        {'train_dataloader.dataset.data_ratio': 0.02, 'train_cfg.max_iters': 16_000},
    ),
    ('data-ratio', 0.02, {'val_dataloader.dataset.data_ratio': 1.0}),
    ('eva_epoch', 20, {'eval_epochs': 20, 'train_cfg.val_interval': 1580}),
    ('lr', 1e-3, {'optim_wrapper.generator.optimizer.lr': 1e-3}),
    ('lr', 1e-3, {'optim_wrapper.discriminator.optimizer.lr': 1e-3, 'rg_hooks.pruning.lr': 1e-3}),
    ('n_critic', 1, {'model.discriminator_steps': 1}),
    ('n-critic', 1, {'model.discriminator_steps': 1}),
    ('eva_size', 64, {'val_evaluator.metrics.0.fake_nums': 64}),
    ('eva-size', 64, {'test_evaluator.metrics.0.fake_nums': 64}),
    ('lambda', 0, {'rg_hooks.pruning.lam': 0}),
    ('workers', 2, {'train_dataloader.num_workers': 2, 'val_dataloader.persistent_workers': True}),
    ('workers', 0, {'train_dataloader.num_workers': 0, 'val_dataloader.num_workers': 0}),
    ('workers', 0, {'train_dataloader.persistent_workers': False}),
    ('workers', 0, {'val_dataloader.persistent_workers': False}),
    ('dataroot', '/d', {'train_dataloader.dataset.data_root': '/d'}),
    ('dataroot', '/d', {'val_dataloader.dataset.data_root': '/d'}),
    ('dataroot', '/d', {'test_dataloader.dataset.data_root': '/d'}),
]


def field(config, name):
    for part in name.split('.'):
        config = config[int(part) if part.isdigit() else part]
    return config


@pytest.mark.parametrize(('option', 'value', 'expected'), SETS)
def test_an_option_sets_its_fields(load, option, value, expected):
    config = load(f'--{option}', value)
    # What the run writes into its work dir.
    dumped = Config.fromstring(config.pretty_text, '.py')
    for name, wanted in expected.items():
        assert field(dumped, name) == wanted, name


def test_every_option_is_tested():
    names = {option.replace('-', '_') for option, *_ in SETS} | {'diffaug'}
    assert names == {option.name for option in OPTIONS}


def test_diffaug_is_appended_once(load):
    for path in (RG, RG.with_name(f'{RG.stem}_diffaug.py')):
        config = load('--diffaug', path=path)
        assert len(hooks(config, 'DiffAugmentHook')) == 1
        assert len(hooks(config, 'DynamicPruningHook')) == 1
    assert not hooks(load(), 'DiffAugmentHook')


PLAIN = Config.fromfile(RG)


@given(epochs=st.integers(1, 99), batch=st.integers(1, 2000), ratio=st.floats(0.001, 1))
def test_the_schedule_follows_all_of_its_numbers(epochs, batch, ratio):
    config = Config(PLAIN.to_dict())
    apply_options(config, {'epoch': epochs, 'batch_size': batch, 'data_ratio': ratio})
    assert config.train_cfg.max_iters == epochs * math.ceil(int(50_000 * ratio) / batch)
    assert config.train_cfg.val_interval * epochs == config.train_cfg.max_iters * 5


def test_digits_have_a_schedule_too(load):
    assert load('--epoch', 10, path=DIGITS).train_cfg.max_iters == 50
    config = load('--data_ratio', 1.0, '--eva_epoch', 1, path=DIGITS)
    assert config.train_cfg == {'by_epoch': False, 'max_iters': 72_000, 'val_interval': 45}


def test_cfg_options_have_the_last_word(load):
    config = load('--epoch', 10, '--lambda', 1, '--cfg-options', 'train_cfg.max_iters=7')
    assert config.train_cfg.max_iters == 7
    config = load('--lambda', 1, '--cfg-options', 'rg_hooks.pruning.lam=3')
    assert config.rg_hooks.pruning.lam == 3


def test_a_length_given_in_the_config_stays_unless_an_option_changes_it():
    config = Config.fromfile(RG)
    config.train_cfg.max_iters = 7
    apply_options(config, {'lr': 1e-3, 'workers': 0, 'diffaug': True, 'epoch': None})
    assert config.train_cfg.max_iters == 7


BAD = [
    *((name, value) for name in ('epoch', 'batch_size', 'n_critic') for value in (0, -3)),
    *((name, value) for name in ('eva_epoch', 'eva_size') for value in (0, -3)),
    *(('lr', value) for value in (0, -1e-4, 'nan', 'inf')),
    *(('data_ratio', value) for value in (0, -0.1, 1.01, 'nan')),
    *(('lambda', value) for value in (-0.5, 'nan', 'inf')),
    ('workers', -1),
    ('dataroot', ''),
]


@pytest.mark.parametrize(('option', 'value'), BAD)
def test_a_bad_value_is_one_line_that_names_the_option(load, option, value):
    with pytest.raises(ConfigError, match=rf'^--{option}=.* must be .+') as error:
        load(f'--{option}', value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('path', 'arguments', 'message'),
    [
        (DENSE, ['--lambda', 1e-13], '--lambda=1e-13: the config has no DynamicPruningHook'),
        (DIGITS, ['--dataroot', '/d'], '--dataroot=/d: no data set of this config has a data_root'),
        (DIGITS, ['--data_ratio', 1e-9], 'data_ratio=1e-09 leaves none of 1437 images'),
    ],
)
def test_an_option_that_the_config_cannot_take(load, path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        load(*arguments, path=path)


def test_other_configs_take_options_that_fit(tmp_path, load):
    """A config that was not made for them, in the form of MMagic's own."""
    path = tmp_path / 'other.py'
    path.write_text(
        "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1.0))\n"
        "train_dataloader = dict(batch_size=4, dataset=dict(type='X', data_root='a'))\n"
        "val_evaluator = [dict(type='FID', fake_nums=9), dict(type='IS', fake_nums=9)]\n"
        'train_cfg = dict(max_iters=3)\n'
    )
    config = load('--lr', 0.5, '--eva_size', 5, '--dataroot', 'b', '--diffaug', path=path)
    assert config.optim_wrapper.optimizer.lr == 0.5
    assert [metric.fake_nums for metric in config.val_evaluator] == [5, 5]
    assert config.train_dataloader.dataset.data_root == 'b'
    assert [hook.type for hook in hooks_of(config)] == ['DiffAugmentHook']
    assert load('--batch_size', 3, path=path).train_dataloader.batch_size == 3
    for option in ('--epoch', '--eva_epoch'):
        with pytest.raises(ConfigError, match=f'^{option} counts iterations from train_images'):
            load(option, 3, path=path)


def test_a_folder_reaches_growing_data_sets_too(tmp_path, load):
    path = tmp_path / 'growing.py'
    path.write_text(
        "train_dataloader = dict(dataset=dict(type='X', data_roots={'8': 'a', '16': 'b'}))\n"
        "test_dataloader = dict(dataset=dict(type='Y', data_root='c'))\n"
    )
    config = load('--dataroot', '/d', path=path)
    assert config.train_dataloader.dataset.data_roots == {'8': '/d', '16': '/d'}
    assert config.test_dataloader.dataset.data_root == '/d'


def test_documentation_lists_every_option():
    text = (ROOT / 'docs' / 'configs.md').read_text()
    for option in OPTIONS:
        assert f'| `--{option.name}` | {option.fields} | {option.default} |' in text


@pytest.mark.parametrize(
    ('options', 'schedule'),
    [
        (['epochs=10'], (790, 395)),
        (['eval_epochs=1', 'train_dataloader.dataset.data_ratio=0.2'], (157_000, 157)),
        (['epochs=10', 'train_cfg.max_iters=5'], (5, 395)),
        (['train_dataloader.batch_size=8'], (79_000, 395)),
    ],
)
def test_cfg_options_that_change_epochs_change_iterations(load, options, schedule):
    config = load('--cfg-options', *options)
    assert (config.train_cfg.max_iters, config.train_cfg.val_interval) == schedule


def test_lists_of_loaders_and_scoped_hooks_are_found(tmp_path, load):
    path = tmp_path / 'lists.py'
    path.write_text(
        f"_base_ = '{RG}'\n"
        'val_dataloader = [dict(num_workers=2, dataset=dict(data_root="a"))]\n'
        'rg_hooks = None\n'
        "custom_hooks = [dict(type='mmagic.DynamicPruningHook'), "
        "dict(type='mmagic.DiffAugmentHook')]\n"
    )
    options = ['--workers', 0, '--dataroot', 'b', '--lr', 0.5, '--diffaug']
    config = load(*options, path=path)
    assert config.val_dataloader[0].num_workers == 0
    assert config.val_dataloader[0].dataset.data_root == 'b'
    assert config.custom_hooks[0].lr == 0.5
    assert hooks_of(config) == config.custom_hooks


def test_a_size_without_metrics_is_refused(tmp_path, load):
    path = tmp_path / 'none.py'
    path.write_text(f"_base_ = '{RG}'\nval_evaluator = None\ntest_evaluator = None\n")
    with pytest.raises(ConfigError, match='--eva_size=5: the config has no metrics'):
        load('--eva_size', 5, path=path)
