"""DynamicPruningHook with a keep ratio in real runs."""

import re

import pytest
from mmengine.hooks import Hook
from tiny import Records, hook_of, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.discovery import trained_sparse_networks

STEERED = {
    'DynamicPruningHook.lam': None,
    'DynamicPruningHook.keep_ratio': 0.6,
    'DynamicPruningHook.lr': 0.02,
    'model.discriminator_steps': 1,
}
# Sparse to the end, so that the last keep ratio is one.
SPARSE = {'rg_hooks.dense_merge': None, 'rg_hooks.curves': None}


def steered(work_dir, iterations=40, **overrides):
    options = {**STEERED, **SPARSE, 'train_cfg.max_iters': iterations, **overrides}
    return tiny_runner(work_dir, **{'train_cfg.val_interval': 5, **options})


def keep_ratios(runner):
    networks = trained_sparse_networks(runner.model)
    return {name: network.keep_ratio() for name, network in networks.items()}


@pytest.mark.parametrize('wanted', [0.8, pytest.param(0.4, marks=pytest.mark.slow)])
def test_a_run_ends_with_the_share_that_was_asked_for(tmp_path, wanted):
    runner = steered(tmp_path, 100, **{'DynamicPruningHook.keep_ratio': wanted})
    runner.train()
    assert keep_ratios(runner) == pytest.approx(
        dict.fromkeys(keep_ratios(runner), wanted), abs=0.02
    )


def test_without_validations_the_checkpoint_interval_counts(tmp_path):
    nothing = ('val_cfg', 'val_dataloader', 'val_evaluator', 'default_hooks.checkpoint.save_best')
    pruning = dict(type='DynamicPruningHook', keep_ratio=0.6, lr=0.02)
    runner = steered(
        tmp_path,
        42,
        **dict.fromkeys(nothing),
        **{'default_hooks.checkpoint.interval': 10, 'custom_hooks': [pruning]},
    )
    runner.train()
    for target in hook_of(runner, DynamicPruningHook).corrections.targets.values():
        assert target.state_dict()['last']['taken'] == 40


def test_a_checkpoint_hook_that_counts_epochs_says_nothing_of_iterations(tmp_path):
    nothing = ('val_cfg', 'val_dataloader', 'val_evaluator', 'default_hooks.checkpoint.save_best')
    checkpoint = dict(type='CheckpointHook', interval=1, by_epoch=True)
    pruning = dict(type='DynamicPruningHook', keep_ratio=0.6, lr=0.02)
    runner = steered(
        tmp_path,
        60,
        **dict.fromkeys(nothing),
        **{'default_hooks.checkpoint': checkpoint, 'custom_hooks': [pruning]},
    )
    runner.train()
    assert hook_of(runner, DynamicPruningHook).corrections.interval == 2


def test_each_network_may_have_a_keep_ratio_of_its_own(tmp_path):
    wanted = {'generator': 0.9, 'discriminator': 0.5}
    runner = steered(tmp_path, 60, **{'DynamicPruningHook.keep_ratio': wanted})
    runner.train()
    assert keep_ratios(runner) == pytest.approx(wanted, abs=0.05)


def test_the_log_says_what_will_be_pruned(tmp_path):
    runner = steered(tmp_path, 16)
    records = Records(runner)
    runner.train()
    (line,) = records.having('generator: 60.0% of the weights of')
    layers = len(trained_sparse_networks(runner.model)['generator'].layers)
    assert f'{layers} layers' in line
    assert 'from iteration 12 on, out of 16' in line
    assert not records.having('by itself in this run')


def concluded(records, network):
    """Level and text of what a run says at its end."""
    found = [r for r in records.messages if f'{network}: keep_ratio=0.6 was asked for' in r[1]]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize('granularity', ['weight', 'channel'])
def test_a_run_ends_with_what_is_left(tmp_path, granularity):
    by_network = {'generator': granularity, 'discriminator': 'weight'}
    runner = steered(tmp_path, 100, **{'DynamicPruningHook.granularity': by_network})
    records = Records(runner)
    runner.train()
    channels = sum(map(len, trained_sparse_networks(runner.model)['generator'].thresholds.values()))
    for network, left in keep_ratios(runner).items():
        level, text = concluded(records, network)
        allowed = max(0.02, 1 / channels) if by_network[network] == 'channel' else 0.02
        assert (level == 'INFO') == (abs(left - 0.6) <= allowed)
        assert f'{left:.3f} were left at the last sparse evaluation, iteration 100' in text
        assert 'dense' not in text


def run_to_dense(work_dir, values, **overrides):
    """A run whose FID gets worse, and the keep ratios at its evaluations."""
    seen = []

    class Worse(Hook):
        priority = 'VERY_HIGH'

        def after_val_epoch(self, runner, metrics=None):
            metrics['digits/fid'] = values[runner.iter // 5 - 1]
            seen.append(keep_ratios(runner))

    options = {**STEERED, 'train_cfg.max_iters': 5 * len(values), 'train_cfg.val_interval': 5}
    runner = tiny_runner(work_dir, **{**options, **overrides})
    records = Records(runner)
    runner.register_hook(Worse())
    runner.train()
    return records, seen


def test_a_run_that_went_dense_says_so(tmp_path):
    values = [50, 40, 30, 20, 10, 90, 95, 99]
    records, seen = run_to_dense(tmp_path, values)
    # Another process goes on in the dense part: it still knows what was left before.
    resumed, _ = run_to_dense(tmp_path, [*values, 100], resume=True)
    for network, left in seen[5].items():
        for messages in (records, resumed):
            level, text = concluded(messages, network)
            assert level == 'WARNING'
            assert f'{left:.3f} were left' in text
            assert 'iteration 30, and the run was dense from there on' in text


def test_validation_after_the_training_corrects_nothing(tmp_path):
    runner = steered(tmp_path, 16)
    runner.train()
    before = hook_of(runner, DynamicPruningHook).corrections.state_dict()
    runner.val()
    assert hook_of(runner, DynamicPruningHook).corrections.state_dict() == before


def test_another_keep_ratio_on_resume_counts_from_there(tmp_path):
    steered(tmp_path, 20).train()
    overrides = {'DynamicPruningHook.keep_ratio': 0.4}
    runner = steered(tmp_path, 60, resume=True, **overrides)
    records = Records(runner)
    runner.train()
    assert len(records.having("keep_ratio was {'generator': 0.6")) == 1
    assert keep_ratios(runner)['discriminator'] == pytest.approx(0.4, abs=0.03)


def test_a_target_out_of_reach_is_refused_before_the_first_iteration(tmp_path):
    runner = steered(tmp_path, 6, **{'DynamicPruningHook.lr': 1e-4})
    with pytest.raises(ConfigError, match=r'generator: keep_ratio=0\.6 is out of reach'):
        runner.train()
    assert runner.iter == 0


def test_a_target_that_a_config_came_with_is_tried_all_the_same(tmp_path):
    options = {'DynamicPruningHook.lr': 1e-4, 'DynamicPruningHook.out_of_reach': 'warn'}
    runner = steered(tmp_path, 6, **options)
    records = Records(runner)
    runner.train()
    assert len(records.having('is out of reach')) == 2
    optimizers = hook_of(runner, DynamicPruningHook).optimizers.values()
    assert all(o.network.threshold_mean() == pytest.approx(6e-4, rel=0.2) for o in optimizers)


@pytest.mark.parametrize(('lam', 'warned'), [(1e-13, 2), (1.0, 0)])
def test_a_lambda_that_prunes_next_to_nothing_is_warned_of(tmp_path, lam, warned):
    options = {'DynamicPruningHook.lam': lam, 'DynamicPruningHook.lr': 0.1}
    runner = tiny_runner(tmp_path, **options)
    records = Records(runner)
    runner.train()
    assert len(records.having('of the weights by itself in this run; to prune more')) == warned
    assert len(records.having('by iteration 6; less')) == 2 - warned


def test_a_reach_beside_a_lambda_is_warned_of(tmp_path):
    runner = tiny_runner(tmp_path, DynamicPruningHook__lam=1.0, DynamicPruningHook__reach=0.4)
    records = Records(runner)
    runner.train()
    assert len(records.having('reach=0.4 has no effect, as no keep_ratio is set')) == 1


def test_no_network_but_the_pruned_ones_may_be_named(tmp_path):
    wanted = {'generator': 0.5, 'discriminator': 0.5, 'critic': 0.5}
    runner = steered(tmp_path, **{'DynamicPruningHook.keep_ratio': wanted})
    with pytest.raises(ConfigError, match=re.escape("keep_ratio names 'critic', which is not")):
        runner.train()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'lam': 1e-9, 'keep_ratio': 0.5}, 'are both set'),
        ({'keep_ratio': 1.0}, 'keep_ratio=1.0 must be'),
        ({'keep_ratio': 0.5, 'reach': 0}, 'reach=0 must be'),
        ({'lam': 1e-9, 'reach': 2}, 'reach=2 must be'),
        ({'out_of_reach': 'ignore'}, "out_of_reach='ignore' must be"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        DynamicPruningHook(**arguments)


def test_the_published_lambda_holds_where_neither_is_named():
    assert DynamicPruningHook().lam == DynamicPruningHook(lam=None, keep_ratio=None).lam == 1e-12
