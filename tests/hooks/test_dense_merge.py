"""DenseMergeHook and RegenerationHook in real runs."""

import json

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny import Records, hook_of, tiny_config, tiny_runner

from rggan_mm.hooks import DenseMergeHook, RegenerationHook
from rggan_mm.hooks.discovery import sparse_networks

FAST = {'DynamicPruningHook.lam': 1.0, 'DynamicPruningHook.lr': 0.02}


class Script(Hook):
    """Puts given values in the place of the FID, and notes the phase of each step."""

    priority = 'VERY_HIGH'

    def __init__(self, values):
        self.values = values
        self.phases = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.phases[batch_idx + 1] = {n: s.sparse for n, s in sparse_networks(runner.model).items()}

    def after_val_epoch(self, runner, metrics=None):
        metrics['digits/fid'] = self.values[runner.iter - 1]


def run(work_dir, values, **overrides):
    script = Script(values)
    runner = tiny_runner(work_dir, train_cfg__max_iters=len(values), **FAST, **overrides)
    records = Records(runner)
    runner.register_hook(script)
    runner.train()
    return runner, script, records


def resume_plainly(work_dir, values, **overrides):
    """Resumes without ExactResumeHook, which would validate the checkpoint's iteration again."""
    options = {'train_cfg.max_iters': len(values), **FAST, **overrides}
    config = tiny_config(work_dir, resume=True, **options)
    config.custom_hooks = [h for h in config.custom_hooks if h.type != 'ExactResumeHook']
    runner = Runner.from_cfg(config)
    runner.register_hook(Script(values))
    runner.train()
    return hook_of(runner, DenseMergeHook)


def test_phases_of_all_networks_follow_the_rule(tmp_path):
    values = [50, 40, 30, 20, 10, 90, 95, 5]
    runner, script, records = run(tmp_path, values)
    for phases in script.phases.values():
        assert len(set(phases.values())) == 1
    assert [phases['generator'] for phases in script.phases.values()] == [True] * 6 + [False] * 2
    assert all(network.sparse for network in sparse_networks(runner.model).values())
    (dense,) = records.having('iteration 6: dense phase; weights that came back: ')
    returned = int(dense.split('back: ')[1].split(' in generator')[0].replace(',', ''))
    assert returned > 0
    assert records.having('iteration 8: sparse phase')
    history = json.loads((tmp_path / 'phase_history.json').read_text())
    assert [record['value'] for record in history] == values
    assert [record['switched'] for record in history] == [False] * 5 + [True, False, True]


def test_weights_come_back_with_the_value_they_had(tmp_path):
    """beta1 = 0 and a zero gradient keep a pruned weight where it was."""
    seen = {}

    class Look(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            layer = sparse_networks(runner.model)['discriminator'].layers['from_rgb.conv_1.conv']
            seen[batch_idx + 1] = layer.info.stored.detach().clone(), layer.mask

    runner = tiny_runner(tmp_path, train_cfg__max_iters=4, train_cfg__val_interval=4, **FAST)
    runner.register_hook(Look())
    runner.train()
    # Under spectral norm every raw weight gets gradient: only masking it keeps them.
    before, after, kept = seen[3][0], seen[4][0], seen[4][1]
    assert 0 < kept.sum() < kept.numel()
    assert torch.equal(before[~kept], after[~kept])
    assert not torch.equal(before[kept], after[kept])


def test_evaluation_after_the_last_checkpoint_is_kept(tmp_path):
    """MMEngine saves before it validates: iteration 4's value is in no checkpoint."""
    run(tmp_path, [50, 40, 30, 60])
    checkpoint = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    saved = checkpoint['rggan_mm']['DenseMergeHook']['history']
    assert [record['iter'] for record in saved] == [1, 2, 3]
    merge = resume_plainly(tmp_path, [0, 0, 0, 0, 70, 80])
    assert merge.rule.values == [50, 40, 30, 60, 70, 80]
    assert [record['iter'] for record in merge.history.records] == [1, 2, 3, 4, 5, 6]


def test_history_is_cut_back_to_the_resumed_iteration(tmp_path):
    run(tmp_path, [50, 40, 30, 20, 90, 95])
    start = str(tmp_path / 'iter_4.pth')
    merge = resume_plainly(tmp_path, [0, 0, 0, 0, 10, 5], load_from=start)
    assert merge.rule.values == [50, 40, 30, 20, 10, 5]


def test_side_file_lost_the_checkpoint_still_knows(tmp_path):
    run(tmp_path, [50, 40, 30, 60])
    (tmp_path / 'phase_history.json').unlink()
    merge = resume_plainly(tmp_path, [0, 0, 0, 0, 70])
    assert merge.rule.values == [50, 40, 30, 70]


def test_resume_into_another_folder_brings_the_history_along(tmp_path):
    run(tmp_path / 'a', [50, 40, 30, 60])
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / 'phase_history.json').write_text('[{"iter": 2, "value": 1, "sparse": true}]')
    start = str(tmp_path / 'a' / 'iter_4.pth')
    merge = resume_plainly(tmp_path / 'b', [0, 0, 0, 0, 70], load_from=start)
    assert merge.rule.values == [50, 40, 30, 60, 70]


def test_only_the_file_beside_the_checkpoint_counts_on_resume(tmp_path):
    foreign = '[{"iter": 4, "value": 1, "sparse": true, "switched": false}]'
    run(tmp_path / 'a', [50, 40, 30, 60])
    (tmp_path / 'a' / 'phase_history.json').unlink()
    (tmp_path / 'phase_history.json').write_text(foreign)
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / 'phase_history.json').write_text(foreign)
    for work_dir, given in (('b', str(tmp_path / 'a' / 'iter_4.pth')), ('a', None)):
        merge = resume_plainly(tmp_path / work_dir, [0, 0, 0, 0, 70], load_from=given)
        assert merge.rule.values == [50, 40, 30, 70]


def test_interrupted_training_then_validation_keeps_the_files(tmp_path):
    class Interrupt(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if batch_idx == 4:
                raise KeyboardInterrupt

    runner = tiny_runner(tmp_path, **FAST)
    runner.register_hook(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    runner.val()
    for name in ('phase_history.json', 'evaluations.json'):
        assert [r['iter'] for r in json.loads((tmp_path / name).read_text())] == [1, 2, 3, 4]


DENSE_FROM_6 = [50, 40, 30, 20, 10, 90, 1, 95]


def test_checkpoint_of_a_dense_phase_is_tested_dense_and_resumed_dense(tmp_path):
    run(tmp_path, DENSE_FROM_6)  # iteration 7 is dense and the best
    (best,) = tmp_path.glob('best_*_iter_7.pth')
    runner = tiny_runner(tmp_path / 'test', load_from=str(best), **FAST)
    runner.test()
    phases = {name: network.sparse for name, network in sparse_networks(runner.model).items()}
    assert phases == {'generator': False, 'discriminator': False, 'generator_ema': False}
    alone = [dict(type='DynamicPruningHook')]
    runner = tiny_runner(tmp_path / 'resume', custom_hooks=alone, resume=True, load_from=str(best))
    runner.train()
    assert not any(network.sparse for network in sparse_networks(runner.model).values())


def test_guard_is_on_for_averages_too(tmp_path):
    runner = tiny_runner(tmp_path, **{'RegenerationHook.min_keep': 0.25})
    runner.call_hook('before_run')
    assert {net.min_keep for net in sparse_networks(runner.model).values()} == {0.25}
    assert 'generator_ema' in sparse_networks(runner.model)


def test_fresh_run_forgets_an_older_one_in_the_same_folder(tmp_path):
    run(tmp_path, [1, 2, 3])
    runner, _, _ = run(tmp_path, [50, 40])
    assert hook_of(runner, DenseMergeHook).rule.values == [50, 40]
    assert len(json.loads((tmp_path / 'phase_history.json').read_text())) == 2


def test_training_from_weights_alone_starts_sparse_with_an_empty_history(tmp_path):
    run(tmp_path / 'a', [50, 40, 30, 20, 10, 90])
    runner, script, _ = run(tmp_path / 'b', [7, 6], load_from=str(tmp_path / 'a' / 'iter_6.pth'))
    assert hook_of(runner, DenseMergeHook).rule.values == [7, 6]
    assert script.phases[1]['generator']


def test_guard_is_logged_and_counted_over_a_resume(tmp_path):
    guard = {**FAST, 'DynamicPruningHook.lr': 0.5}
    runner = tiny_runner(tmp_path, train_cfg__max_iters=4, **guard)
    records = Records(runner)
    runner.train()
    first = hook_of(runner, RegenerationHook).counts['discriminator']
    assert sum(first.values()) > 0
    first = dict(first)
    layer = next(iter(first))
    assert records.having(f'discriminator.{layer} was reset')
    runner = tiny_runner(tmp_path, train_cfg__max_iters=6, resume=True, **guard)
    runner.train()
    second = hook_of(runner, RegenerationHook).counts['discriminator']
    since = sparse_networks(runner.model)['discriminator'].guard_counts()
    assert sum(since.values()) > 0
    names = first | since
    assert second == {name: first.get(name, 0) + since.get(name, 0) for name in names}


def test_validating_after_training_is_no_part_of_the_run(tmp_path):
    runner, _, _ = run(tmp_path, [50, 40, 30, 20, 10])
    runner.val()
    assert hook_of(runner, DenseMergeHook).rule.values == [50, 40, 30, 20, 10]
    for name in ('phase_history.json', 'evaluations.json'):
        assert len(json.loads((tmp_path / name).read_text())) == 5
