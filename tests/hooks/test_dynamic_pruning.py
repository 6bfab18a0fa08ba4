"""DynamicPruningHook in real runs."""

import pytest
import torch
from mmengine.hooks import Hook
from tiny import hook_of, tiny_runner

from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.discovery import sparse_networks, trained_sparse_networks

FAST = {'DynamicPruningHook.lam': 1.0, 'DynamicPruningHook.lr': 0.02}


def thresholds(network):
    return torch.cat([t.detach().flatten() for t in network.thresholds.values()])


class Watch(Hook):
    """Calls a function after each training iteration."""

    priority = 'LOWEST'

    def __init__(self, look):
        self.look = look

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.look(runner, batch_idx)


def test_thresholds_step_with_their_network(tmp_path):
    """D steps each iteration; G steps in the fifth only. Adam's first step is lr."""
    seen = {}

    def look(runner, batch_idx):
        networks = trained_sparse_networks(runner.model)
        seen[batch_idx + 1] = [thresholds(networks[n]) for n in ('generator', 'discriminator')]

    runner = tiny_runner(tmp_path, **FAST, **{'RegenerationHook.min_keep': 0.0})
    runner.register_hook(Watch(look))
    runner.train()
    assert (seen[4][0] == 0).all()
    assert seen[5][0].mean().item() == pytest.approx(0.02, rel=1e-2)
    assert seen[1][1].mean().item() == pytest.approx(0.02, rel=1e-2)
    assert (seen[4][1] > seen[3][1]).all()


def test_average_follows_thresholds_with_decay(tmp_path):
    before = {}

    def look(runner, batch_idx):
        networks = sparse_networks(runner.model)
        values = thresholds(networks['generator']), thresholds(networks['generator_ema'])
        before[batch_idx + 1] = values

    runner = tiny_runner(tmp_path, train_cfg__max_iters=10, train_cfg__val_interval=5, **FAST)
    runner.register_hook(Watch(look))
    runner.train()
    live, average = before[10]
    expected = 0.99 * before[5][1] + 0.01 * live
    assert torch.allclose(average, expected, atol=1e-7)
    assert (live > before[5][0]).all()


def test_averages_line_up_with_their_network(tmp_path):
    runner = tiny_runner(tmp_path)
    runner.call_hook('before_run')
    model = runner.model
    names = [name for name, _ in model.generator.named_parameters()]
    assert [name for name, _ in model.generator_ema.module.named_parameters()] == names
    assert list(model.generator_ema.avg_parameters) == names
    assert any(name.endswith('.threshold') for name in names)


def test_before_run_twice_attaches_once(tmp_path):
    runner = tiny_runner(tmp_path)
    runner.call_hook('before_run')
    runner.call_hook('before_run')
    assert set(sparse_networks(runner.model)) == {'generator', 'discriminator', 'generator_ema'}


def test_main_optimisers_hold_no_thresholds(tmp_path):
    runner = tiny_runner(tmp_path, train_cfg__max_iters=1)
    runner.train()
    own = {
        id(threshold)
        for network in sparse_networks(runner.model).values()
        for threshold in network.thresholds.values()
    }
    for wrapper in runner.optim_wrapper.values():
        params = {id(p) for group in wrapper.optimizer.param_groups for p in group['params']}
        assert not params & own


def test_ste_gradient_of_the_generator_step_does_not_stay_in_the_discriminator(tmp_path):
    left = []

    def look(runner, batch_idx):
        for network in trained_sparse_networks(runner.model).values():
            left.extend(t.grad for t in network.thresholds.values())

    runner = tiny_runner(tmp_path, **FAST, **{'DynamicPruningHook.mode': 'ste'})
    runner.register_hook(Watch(look))
    # The trainer's own protection is taken away, as in trainers that have none.
    discriminator = runner.model.discriminator
    discriminator.register_forward_pre_hook(lambda *_: discriminator.requires_grad_(True) and None)
    runner.train()
    assert left
    assert all(gradient is None for gradient in left)


def test_keep_ratios_and_thresholds_are_logged(tmp_path):
    runner = tiny_runner(tmp_path, **FAST)
    runner.train()
    scalars = runner.message_hub.log_scalars
    for name in ('generator', 'discriminator'):
        assert 0 < scalars[f'train/{name}_keep_ratio'].current() <= 1
        assert len(scalars[f'train/{name}_threshold'].data[0]) == 3
    assert scalars['train/discriminator_keep_ratio'].min() < 1


def test_chosen_networks_only(tmp_path):
    runner = tiny_runner(tmp_path, DynamicPruningHook__networks=['discriminator'])
    runner.train()
    assert list(sparse_networks(runner.model)) == ['discriminator']
    assert list(hook_of(runner, DynamicPruningHook).optimizers) == ['discriminator']


def test_dense_checkpoint_keys_stay(tmp_path):
    runner = tiny_runner(tmp_path)
    before = list(runner.model.state_dict())
    runner.call_hook('before_run')
    after = [
        key
        for key in runner.model.state_dict()
        if not key.endswith(('.threshold', '.sparse_phase'))
    ]
    assert after == before
