"""The published command line, on the config that a run would dump."""

import math
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from tiny import DIGITS, ROOT
from tool_modules import TOOLS, load_command

from rggan_mm.commands.published_options import OPTIONS, apply_options
from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import hooks_of, kind_of

train = load_command('train')
TRAIN = TOOLS / 'train.py'
RG = ROOT / 'configs' / 'rg_sngan_cifar10_10pct.py'
STEERED = ROOT / 'configs' / 'rg_sngan_digits_35.py'
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
        '--epoch 1000 --batch_size 64 --dataroot ./dataset --data_ratio 0.1 --eva_epoch 5 '
        '--lambda 1e-13'
    )
    config, plain = load(*published.split()), load()
    for name in ('train', 'val', 'test'):
        assert config[f'{name}_dataloader'].dataset.pop('data_root') == './dataset'
        assert plain[f'{name}_dataloader'].dataset.pop('data_root') == 'data/cifar10'
    assert config.to_dict() == plain.to_dict()


def test_dense_is_the_same_run_without_the_method(load):
    plain, twin = load(), load('--dense')
    assert twin.custom_hooks == Config.fromfile(DENSE).custom_hooks
    assert twin.rg_hooks == {}
    assert (twin.model, twin.train_cfg) == (plain.model, plain.train_cfg)
    assert twin.work_dir != plain.work_dir
    with pytest.raises(ConfigError, match='DynamicPruningHook'):
        load('--dense', '--keep-ratio', 0.5)


@pytest.mark.parametrize('kind', ['static', 'regan', 'sdst'])
def test_dense_takes_baselines_out_too(load, kind):
    path = DENSE.with_name(f'{kind}_sngan_digits_35.py')
    kinds = {kind_of(hook) for hook in hooks_of(load('--dense', path=path))}
    assert not kinds & {'StaticPruningHook', 'ReGANHook', 'DynamicSparseHook'}


def test_dense_of_a_config_that_prunes_nothing_is_refused(load):
    with pytest.raises(ConfigError, match=DENSE.name):
        load('--dense', path=DENSE)


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
    ('lambda', 0, {'rg_hooks.pruning.lam': 0}),
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


@pytest.mark.parametrize('path', [RG, STEERED])
def test_lambda_and_keep_ratio_replace_each_other(load, path):
    (hook,) = hooks(load('--keep-ratio', 0.3, path=path), 'DynamicPruningHook')
    assert (hook.lam, hook.keep_ratio) == (None, 0.3)
    (hook,) = hooks(load('--lambda', 1e-9, path=path), 'DynamicPruningHook')
    assert (hook.lam, hook.get('keep_ratio')) == (1e-9, None)
    with pytest.raises(ConfigError, match=r'^--keep-ratio=0\.3: the config has no'):
        load('--keep-ratio', 0.3, path=DENSE)


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


@pytest.mark.parametrize(
    ('options', 'left'),
    [
        (['rg_hooks.pruning.keep_ratio=0.5'], None),
        (['rg_hooks.pruning.keep_ratio=0.5', 'rg_hooks.pruning.out_of_reach=warn'], 'warn'),
        (['rg_hooks.pruning.keep_ratio=None', 'rg_hooks.pruning.lam=1e-9'], 'warn'),
    ],
)
def test_a_keep_ratio_that_is_asked_for_is_refused_where_it_is_out_of_reach(load, options, left):
    (hook,) = hooks(load('--cfg-options', *options, path=STEERED), 'DynamicPruningHook')
    assert hook.get('out_of_reach') == left


def test_cfg_options_have_the_last_word(load):
    config = load('--epoch', 10, '--lambda', 1, '--cfg-options', 'train_cfg.max_iters=7')
    assert config.train_cfg.max_iters == 7
    config = load('--lambda', 1, '--cfg-options', 'rg_hooks.pruning.lam=3')
    assert config.rg_hooks.pruning.lam == 3


def test_a_length_given_in_the_config_stays_unless_an_option_changes_it():
    config = Config.fromfile(RG)
    config.train_cfg.max_iters = 7
    apply_options(config, {'lambda': 1e-3, 'diffaug': True, 'epoch': None})
    assert config.train_cfg.max_iters == 7


BAD = [
    *(('epoch', 'epochs', value) for value in (0, -3)),
    *(('batch_size', 'batch_size', value) for value in (0, -3)),
    *(('eva_epoch', 'eval_epochs', value) for value in (0, -3)),
    *(('data_ratio', 'data_ratio', value) for value in (0.0, -0.1, 1.01, math.nan)),
]


@pytest.mark.parametrize(('option', 'name', 'value'), BAD)
def test_a_bad_length_is_one_line_with_field_and_value(load, option, name, value):
    with pytest.raises(ConfigError, match=rf'{name}.*{value}') as error:
        load(f'--{option}', value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('path', 'arguments', 'named'),
    [
        (DENSE, ['--lambda', 1e-13], '--lambda=1e-13'),
        (DIGITS, ['--dataroot', '/d'], '--dataroot=/d'),
        (DIGITS, ['--data_ratio', 1e-9], 'data_ratio=1e-09'),
    ],
)
def test_an_option_that_the_config_cannot_take(load, path, arguments, named):
    with pytest.raises(ConfigError, match=named):
        load(*arguments, path=path)


def test_other_configs_take_options_that_fit(tmp_path, load):
    """A config that was not made for them, in the form of MMagic's own."""
    path = tmp_path / 'other.py'
    path.write_text(
        "train_dataloader = dict(batch_size=4, dataset=dict(type='X', data_root='a'))\n"
        'train_cfg = dict(max_iters=3)\n'
    )
    config = load('--dataroot', 'b', '--diffaug', '--batch_size', 3, path=path)
    assert config.train_dataloader.dataset.data_root == 'b'
    assert [hook.type for hook in hooks_of(config)] == ['DiffAugmentHook']
    assert (config.train_dataloader.batch_size, config.train_cfg.max_iters) == (3, 3)
    for option in ('--epoch', '--eva_epoch'):
        with pytest.raises(ConfigError, match='train_images'):
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


def test_lists_of_loaders_and_scoped_hooks_are_found(tmp_path, load):
    path = tmp_path / 'lists.py'
    path.write_text(
        f"_base_ = '{RG}'\n"
        'val_dataloader = [dict(num_workers=2, dataset=dict(data_root="a"))]\n'
        'rg_hooks = None\n'
        "custom_hooks = [dict(type='mmagic.DynamicPruningHook'), "
        "dict(type='mmagic.DiffAugmentHook')]\n"
    )
    config = load('--dataroot', 'b', '--lambda', 0.5, '--diffaug', path=path)
    assert config.val_dataloader[0].dataset.data_root == 'b'
    assert config.custom_hooks[0].lam == 0.5
    assert hooks_of(config) == config.custom_hooks


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


DOCS = (ROOT / 'docs' / 'configs.md').read_text()


def test_the_documentation_lists_every_option():
    for option in OPTIONS:
        assert f'| `--{option.name}` | {option.sets} | {option.default} |' in DOCS


def test_fields_that_replace_the_other_published_options_exist(load):
    rows = re.findall(r'^\| `--\w+` \| `--cfg-options (.*)` \|', DOCS, re.M)
    assert len(rows) == 4
    plain = load()
    for row in rows:
        names = [part.partition('=')[0] for part in row.split()]
        assert all(field(plain, name) is not None for name in names)
