"""What a run writes down when it starts, and its dense twin."""

import json

from mmengine.config import Config
from tiny import DIGITS, ROOT, tiny_runner

from rggan_mm.hooks.groups import hooks_of, kind_of, without_pruning
from rggan_mm.hooks.run_record import DENSE_TWIN

RG = {'DynamicPruningHook', 'RegenerationHook', 'DenseMergeHook'}


def written(tmp_path, **overrides):
    tiny_runner(tmp_path, **overrides).train()
    return json.loads((tmp_path / 'run.json').read_text())


def test_settings_and_what_differs_from_the_base(tmp_path):
    about = written(tmp_path)
    assert about['config'] == DIGITS.name
    assert about['compared_with'] == 'sngan_digits_10pct.py'
    assert about['settings']['custom_hooks.DynamicPruningHook.lam'] == 7e-11
    assert 'custom_hooks.DynamicPruningHook.lam' in about['added']
    assert about['settings']['train_cfg.max_iters'] == 6  # --cfg-options and the like
    assert about['base']['train_cfg.max_iters'] == 8000
    assert 'model.type' not in about['base']
    assert {'torch', 'mmengine', 'cpu', 'gpu', 'threads', 'processes'} <= set(about['environment'])


def test_a_resumed_run_keeps_its_start(tmp_path):
    first = written(tmp_path, train_cfg__max_iters=2)
    path = tmp_path / 'run.json'
    path.write_text(json.dumps({**first, 'started': '20250101_000000'}))
    assert written(tmp_path, train_cfg__max_iters=4, resume=True)['started'] == '20250101_000000'
    assert written(tmp_path, train_cfg__max_iters=2)['started'] > '2026'


def test_a_config_of_unfinished_base_files_is_compared_with_its_dense_twin(tmp_path):
    path = tmp_path / 'mine.py'
    bases = [
        str(ROOT / 'configs' / '_base_' / 'rg_hooks.py'),
        str(DIGITS.parent / 'sngan_digits_10pct.py'),
    ]
    path.write_text(f'_base_ = {bases}\n')
    tiny_runner(tmp_path / 'run', path).train()
    about = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert about['compared_with'] == DENSE_TWIN
    assert about['base'] == {}
    assert {name.split('.')[1] for name in about['added']} == RG


def test_the_dense_twin_has_no_hooks_of_the_method_and_follows_the_same_metric():
    config = Config.fromfile(DIGITS)
    config.rg_hooks.dense_merge.metric = 'digits/kid'
    config.custom_hooks.append(dict(type='RegenerationHook'))
    before = {kind_of(hook) for hook in hooks_of(config)}
    twin = without_pruning(config)
    assert {kind_of(hook) for hook in hooks_of(twin)} == before - RG
    curves = next(hook for hook in hooks_of(twin) if kind_of(hook) == 'CurvesHook')
    assert curves['metric'] == 'digits/kid'
    assert {kind_of(hook) for hook in hooks_of(config)} == before  # left as it is
