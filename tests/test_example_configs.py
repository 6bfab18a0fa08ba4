"""Our examples of MMagic's families: stock config, one base file, few images."""

import pytest
import torch
from example_configs import EXAMPLES, FIXED, TINY
from families import family_runner
from family_walk import Watch, differences, family_params
from mmengine.config import Config
from tiny import ROOT, hook_of

from rggan_mm.analysis.prunable import inspect_config
from rggan_mm.analysis.step_counts import optimizer_steps
from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.discovery import trained_sparse_networks
from rggan_mm.pruning import threshold_after

REPRESENTATIVE = ('rg_stylegan2_folder_256', 'rg_cyclegan_facades')


@pytest.fixture(params=list(EXAMPLES))
def name(request):
    return request.param


def load(name):
    return Config.fromfile(ROOT / 'configs' / f'{name}.py')


def test_every_other_config_has_a_walk_of_its_own():
    names = {path.stem for path in (ROOT / 'configs').glob('*.py')}
    walked = {name for name in names if 'sngan' in name or 'dcgan_faces' in name}
    assert names - walked == set(EXAMPLES)


def test_the_schedule_gives_the_phase_rule_enough_to_go_on(name):
    schedule = load(name).train_cfg
    assert schedule.max_iters / schedule.val_interval >= 20


def test_validation_is_that_of_few_images(name):
    config = load(name)
    (fid,) = (m for m in config.val_evaluator.metrics if m.type in ('GANMetrics', 'TransFID'))
    assert config.test_evaluator == config.val_evaluator
    if fid.type == 'GANMetrics':
        assert fid.sample_model == ('ema' if config.model.get('ema_config') else 'orig')
        assert config.default_hooks.checkpoint.save_best == 'inception/fid'
    else:
        assert config.model.type == 'CycleGAN'


def test_what_is_pruned_at_full_size(name):
    config = load(name)
    trained = [report for report in inspect_config(config) if report.role == 'trained']
    assert len(trained) == 2
    for report in trained:
        # StyleGAN2's mapping network, 2.1 of 24.8 million parameters, stays dense.
        assert report.prunable_weights > 0.9 * report.parameters
    reasons = {info.reason for report in trained for info in report.layers}
    left_dense = 'excluded by generator.style_mapping' in reasons
    assert left_dense == (name == 'rg_stylegan2_folder_256')


@pytest.mark.parametrize('name', family_params(EXAMPLES, REPRESENTATIVE))
def test_it_trains_sparse_saves_and_resumes(tmp_path, name):
    watch, again = Watch(), Watch()
    options = {'path': ROOT / 'configs' / f'{name}.py', **FIXED, **TINY.get(name, {})}
    runner = family_runner(EXAMPLES[name], tmp_path, train_cfg__max_iters=4, **options)
    runner.register_hook(watch)
    runner.train()
    pruning = hook_of(runner, DynamicPruningHook)
    for network, sparse in trained_sparse_networks(runner.model).items():
        steps = optimizer_steps(runner.cfg, runner.model, network)
        expected = threshold_after(steps, pruning.wanted(network)['lam'], pruning.adam['lr'])
        assert sparse.threshold_mean() == pytest.approx(expected, rel=0.01)
    runner = family_runner(EXAMPLES[name], tmp_path, resume=True, **options)
    runner.register_hook(again)
    runner.train()
    assert runner.iter == 6
    assert differences(watch.end, again.start) == []
    assert all(torch.isfinite(value).all() for value in again.end['model'].values())
