"""Hooks in keys of their own: one base file adds them to any config."""

import inspect
import re

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from tiny import DIGITS, ROOT, hook_of, tiny_config, tiny_runner

from rggan_mm.analysis.prunable import inspect_config
from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.groups import hooks_of, kind_of, ungrouped

BASE = ROOT / 'configs' / '_base_'
RG = ['DynamicPruningHook', 'RegenerationHook', 'DenseMergeHook']
RUN = ['CurvesHook', 'SampleGridHook', 'ExactResumeHook', 'DivergenceHook', 'PreemptionHook']


def kinds(config):
    return [kind_of(hook) for hook in config['custom_hooks']]


def test_groups_join_custom_hooks_and_are_gone():
    config = Config(dict(custom_hooks=[dict(type='VisualizationHook')]))
    config.merge_from_dict(Config.fromfile(BASE / 'rg.py').to_dict())
    joined = ungrouped(config)
    assert isinstance(joined, Config)
    assert kinds(joined) == [*RG, *RUN, 'VisualizationHook']
    assert 'rg_hooks' not in joined
    assert len(config.custom_hooks) == 1  # the given config stays


@pytest.mark.parametrize(
    'stock',
    [
        'mmagic::styleganv2/stylegan2_c2_8xb4-800kiters_ffhq-256x256.py',
        'mmagic::cyclegan/cyclegan_lsgan-resnet-in_1xb1-80kiters_facades.py',
        'mmagic::dcgan/dcgan_1xb128-5epoches_lsun-bedroom-64x64.py',
    ],
)
def test_one_base_file_beside_a_stock_config(tmp_path, stock):
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = ['{stock}', '{BASE}/rg.py', '{BASE}/diffaug.py']\n"
        'rg_hooks = dict(pruning=dict(lam=1e-9, keep_ratio=None), regeneration=None)\n'
    )
    config = ungrouped(Config.fromfile(path))
    wanted = ['DynamicPruningHook', 'DenseMergeHook', *RUN, 'DiffAugmentHook']
    assert kinds(config)[: len(wanted)] == wanted
    assert config.custom_hooks[0].lam == 1e-9
    assert len(config.custom_hooks) > len(wanted)  # the stock config's own are still there
    assert config.custom_imports['imports'] == ['rggan_mm.plugin']


def test_a_runner_has_them_and_its_config_says_so(tmp_path):
    runner = tiny_runner(tmp_path)
    assert hook_of(runner, DynamicPruningHook)
    assert kinds(runner.cfg)[:3] == RG
    again = Runner.from_cfg(Config(dict(runner.cfg.to_dict(), experiment_name='again')))
    assert hook_of(again, DynamicPruningHook).lam == hook_of(runner, DynamicPruningHook).lam


def test_a_config_without_groups_is_left_alone():
    config = {'custom_hooks': [dict(type='X')]}
    assert ungrouped(config) is config
    assert hooks_of(config) == config['custom_hooks']
    assert hooks_of({'custom_hooks': None}) == []


def test_changes_reach_the_config():
    config = Config.fromfile(DIGITS)
    hooks_of(config)[0].lam = 5
    assert config.rg_hooks.pruning.lam == 5


class Own:
    """A hook given as a class, as MMEngine allows."""


@pytest.mark.parametrize(
    ('hook', 'kind'),
    [({'type': 'mmagic.A'}, 'A'), ({'type': Own}, 'Own'), (Own(), 'Own'), ({}, '')],
)
def test_kind_of(hook, kind):
    assert kind_of(hook) == kind


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'rg_hooks': [dict(type='A')]}, r'^rg_hooks=.* must be a dict of hooks by name'),
        ({'rg_hooks': dict(pruning=3)}, r'^rg_hooks.pruning=3 must be the config of a hook'),
        ({'rg_hooks': dict(prunning=dict(lam=1))}, r'dict with type \(did you mean pruning\?\)'),
        (
            {'rg_hooks': dict(curve=None)},
            r'^rg_hooks.curve=None leaves out nothing \(did you mean curves\?\)',
        ),
        ({'rghooks': dict(pruning=dict(lam=1))}, r'^rghooks: did you mean rg_hooks\?'),
        ({'diffaug_hooks': dict(x=dict(policy='color'))}, r'^diffaug_hooks.x=.* dict with type'),
        (
            {'custom_hooks': [dict(type='mmagic.DynamicPruningHook')]},
            r'^rg_hooks.pruning: DynamicPruningHook is in custom_hooks already',
        ),
        (
            {'diffaug_hooks': dict(x=dict(type='DenseMergeHook'))},
            r'^diffaug_hooks.x: DenseMergeHook is in rg_hooks.dense_merge already',
        ),
    ],
)
def test_bad_groups_are_refused_before_anything_is_built(tmp_path, changes, message):
    config = tiny_config(tmp_path / 'run')
    for key, value in changes.items():
        config[key] = value
    with pytest.raises(ConfigError, match=message):
        Runner.from_cfg(config)
    assert not (tmp_path / 'run').exists()


def test_the_examples_in_the_docs_are_configs(tmp_path):
    text = (ROOT / 'docs' / 'add_to_your_config.md').read_text()
    blocks = [inspect.cleandoc(block) for block in re.findall(r'```python\n(.*?)```', text, re.S)]
    blocks = [block for block in blocks if '_base_ = ' in block]
    assert len(blocks) == 3
    for number, block in enumerate(blocks):
        path = tmp_path / f'mine_{number}.py'
        path.write_text(block)
        config = Config.fromfile(path)
        assert 'DynamicPruningHook' in kinds(ungrouped(config))
        assert any(report.role == 'trained' for report in inspect_config(config))
