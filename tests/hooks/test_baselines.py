"""Static pruning, Re-GAN, SDST and the balance ratio in runs of MMagic's trainers."""

import pytest
import torch
from families import family_runner
from family_walk import Watch, differences
from mmengine.hooks import Hook
from run_state import Snapshot, assert_same
from tiny import ROOT, hook_of, tiny_config, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.export.loading import Trained
from rggan_mm.export.stock_weights import fold_away, kept_counts, share
from rggan_mm.hooks import BalanceRatioHook, ReGANHook, StaticPruningHook
from rggan_mm.hooks.discovery import sparse_networks, trained_sparse_networks
from rggan_mm.hooks.dynamic_sparse import DynamicSparseHook

DENSE = ROOT / 'configs' / 'sngan_digits_35.py'
STATIC = dict(type='StaticPruningHook', keep_ratio=0.5)
REGAN = dict(type='ReGANHook', warmup=2, interval=3, epoch=2)
SDST = dict(type='DynamicSparseHook', density=0.4, interval=2)
BALANCE = dict(type='BalanceRatioHook', window=4)
STOPPED_AT = 4
OPTIONS = {
    'train_cfg.max_iters': 7,
    'train_cfg.val_interval': 7,
    'default_hooks.checkpoint.interval': 1,
    'default_hooks.checkpoint.max_keep_ckpts': -1,
    'model.discriminator_steps': 1,
}
KINDS = pytest.mark.parametrize('hook', [STATIC, REGAN, SDST], ids=lambda hook: hook['type'])


def runner_of(folder, *hooks, **overrides):
    named = {str(number): hook for number, hook in enumerate(hooks)}
    return tiny_runner(folder, DENSE, **{**OPTIONS, 'baseline_hooks': named, **overrides})


class Trace(Hook):
    """The phase, the learning rate of the step and the weights of each iteration."""

    def before_train(self, runner):
        self.phases, self.rates, self.kept = [], [], []
        optimizer = runner.optim_wrapper['generator'].optimizer
        optimizer.register_step_post_hook(lambda o, *_: self.rates.append(o.param_groups[0]['lr']))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        networks = sparse_networks(runner.model)
        self.phases.append({name: network.sparse for name, network in networks.items()})
        self.kept.append(
            {n: net.keep_ratio() for n, net in trained_sparse_networks(runner.model).items()}
        )


@KINDS
def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path, hook):
    def train(folder, **overrides):
        runner, end = runner_of(folder, hook, BALANCE, **overrides), Snapshot()
        runner.register_hook(end)
        runner.train()
        return end.end, hook_of(runner, BalanceRatioHook).state_dict()

    whole, ratios = train(tmp_path / 'whole')
    start = str(tmp_path / 'whole' / f'iter_{STOPPED_AT}.pth')
    resumed, again = train(tmp_path / 'resumed', load_from=start, resume=True)
    assert_same(resumed, whole)
    assert_same(again, ratios)
    assert [number for number, _ in ratios['ratios']] == [3, 4, 5, 6]


def test_static_masks_stay_and_are_those_of_the_first_weights(tmp_path):
    runner, trace = runner_of(tmp_path, STATIC), Trace()
    runner.register_hook(trace)
    runner.train()
    first = torch.load(tmp_path / 'iter_1.pth', weights_only=True)['state_dict']
    last = torch.load(tmp_path / 'iter_7.pth', weights_only=True)['state_dict']
    masks = [name for name in last if name.endswith('.mask')]
    assert {name.partition('.')[0] for name in masks} == {
        'generator',
        'generator_ema',
        'discriminator',
    }
    assert all(torch.equal(first[name], last[name]) for name in masks)
    for kept in trace.kept:
        assert kept == pytest.approx({'generator': 0.5, 'discriminator': 0.5}, abs=1e-3)


def test_regan_takes_turns_with_the_generator_alone(tmp_path):
    runner, trace = runner_of(tmp_path, REGAN), Trace()
    runner.register_hook(trace)
    runner.train()
    assert [set(phase) for phase in trace.phases] == [{'generator', 'generator_ema'}] * 7
    phases = [set(phase.values()) for phase in trace.phases]
    assert phases == [{False}] * 2 + [{True}] * 3 + [{False}] * 2
    assert trace.kept[4]['generator'] == pytest.approx(0.7, abs=0.03)
    assert runner.optim_wrapper['generator'].optimizer.param_groups[0]['lr'] == 4e-4


def test_sdst_changes_both_networks_and_fixes_one(tmp_path):
    for fixed, changing in (
        ([], {'generator', 'discriminator'}),
        (['discriminator'], {'generator'}),
    ):
        folder = tmp_path / str(len(fixed))
        runner_of(folder, {**SDST, 'fixed': fixed}).train()
        states = [
            torch.load(folder / f'iter_{i}.pth', weights_only=True)['state_dict'] for i in (1, 6)
        ]
        masks = [name for name in states[0] if name.endswith('.mask') and '_ema' not in name]
        moved = {n.partition('.')[0] for n in masks if not torch.equal(states[0][n], states[1][n])}
        assert moved == changing
        for state in states:
            for name in ('generator', 'discriminator'):
                every = torch.cat([state[m].flatten() for m in masks if m.startswith(f'{name}.')])
                assert every.float().mean() == pytest.approx(0.4, abs=0.01)


def test_the_balance_ratio_leaves_a_run_as_it_is(tmp_path):
    ends = []
    for number, hooks in enumerate([[STATIC], [STATIC, BALANCE]]):
        runner, end = runner_of(tmp_path / str(number), *hooks), Snapshot()
        runner.register_hook(end)
        runner.train()
        ends.append(end.end)
    assert_same(ends[1], ends[0])
    assert 'train/balance_ratio' in runner.message_hub.log_scalars


def test_the_balance_ratio_is_that_of_its_definition(tmp_path):
    class Recompute(Hook):
        """D(G(z)) of the generator's step with its weights before and after."""

        def before_train(self, runner):
            optimizer = runner.optim_wrapper['generator'].optimizer
            generator, discriminator = runner.model.generator, runner.model.discriminator
            generator.register_forward_hook(self.made, with_kwargs=True)
            discriminator.register_forward_hook(self.judged)
            optimizer.register_step_post_hook(self.stepped)
            self.networks = generator, discriminator
            self.found, self.seen, self.busy = [], [], False

        def made(self, module, args, kwargs, output):
            if module.training and not self.busy:
                self.call = args, kwargs

        def judged(self, module, args, output):
            if not self.busy:
                self.seen.append(output.detach().mean())

        def stepped(self, *_):
            # Of MMagic's DCGAN: D(fake), D(real), and D(G(z)) in the generator's step.
            _, real, before = self.seen[:3]
            self.busy = True
            generator, discriminator = self.networks
            with torch.no_grad():
                after = discriminator(generator(*self.call[0], **self.call[1])).mean()
            self.busy = False
            self.found.append((after - before) / (real - before))

    options = {'train_cfg__max_iters': 1, 'train_cfg__val_interval': 1}
    runner, recompute = runner_of(tmp_path, BALANCE, **options), Recompute()
    runner.register_hook(recompute)
    runner.train()
    ((_, ratio),) = hook_of(runner, BalanceRatioHook).ratios
    torch.testing.assert_close(ratio, recompute.found[0], rtol=1e-3, atol=1e-5)


def test_adapt_follows_the_balance_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr('rggan_mm.hooks.dynamic_sparse._EVERY', 2)
    for mean, density in ((0.9, 0.45), (0.5, 0.4), (0.1, 0.35)):
        monkeypatch.setattr(BalanceRatioHook, 'mean', lambda self, mean=mean: mean)
        options = {'train_cfg__max_iters': 3, 'train_cfg__val_interval': 3}
        runner = runner_of(tmp_path / str(mean), {**SDST, 'adapt': True}, BALANCE, **options)
        runner.train()
        followers = hook_of(runner, DynamicSparseHook).followers
        assert followers['discriminator'].density == pytest.approx(density)
        assert followers['generator'].density == 0.4


def test_a_statically_pruned_generator_is_exported(tmp_path):
    runner = runner_of(tmp_path, STATIC, train_cfg__max_iters=2, train_cfg__val_interval=2)
    runner.train()
    noise = torch.randn(4, runner.model.noise_size)
    with torch.no_grad():
        wanted = runner.model.generator_ema.eval()(noise)
    trained = Trained(tiny_config(tmp_path, DENSE, **OPTIONS), tmp_path / 'iter_2.pth')
    sparse = trained.sparse()['generator_ema']
    assert share(kept_counts(sparse)) == pytest.approx(0.5, abs=1e-3)
    network = trained.networks()['generator_ema']
    fold_away({'generator_ema': sparse})
    assert not [name for name in network.state_dict() if name.endswith(('mask', 'sparse_phase'))]
    with torch.no_grad():
        torch.testing.assert_close(network(noise), wanted)


@KINDS
@pytest.mark.parametrize(
    'name',
    [
        'sagan',
        *[pytest.param(n, marks=pytest.mark.slow) for n in ('stylegan2', 'pggan', 'cyclegan')],
    ],
)
def test_families_train_save_and_resume(tmp_path, name, hook):
    def train(**overrides):
        watch = Watch()
        runner = family_runner(name, tmp_path, hooks=[hook], **overrides)
        runner.register_hook(watch)
        runner.train()
        return runner, watch

    _, first = train()
    masked = [key for key in first.end['model'] if key.endswith('.mask')]
    assert masked
    _, second = train(resume=True, train_cfg__max_iters=8)
    assert second.started_at == 6
    assert differences(first.end, second.start) == []


def test_what_does_not_go_together_is_refused(tmp_path):
    merge = dict(type='DenseMergeHook')
    for hooks, message in (
        ([REGAN, merge], 'DenseMergeHook switches phases as well'),
        ([{**SDST, 'adapt': True}], 'adapt=True needs a BalanceRatioHook'),
        ([{**SDST, 'fixed': ['x']}], "fixed: there is no 'x'"),
        (
            [{**STATIC, 'keep_ratio': dict(generator=0.5, discriminator=0.5, genrator=0.5)}],
            "keep_ratio names 'genrator', which is not pruned; pruned is: generator, discriminator",
        ),
        (
            [{**SDST, 'density': dict(generator=0.5, discriminator=0.5, genrator=0.5)}],
            "density names 'genrator', which is not pruned; pruned is: generator, discriminator",
        ),
        ([{**BALANCE, 'generator': 'x'}], "no network 'x' of its own"),
    ):
        with pytest.raises(ConfigError, match=message):
            runner_of(tmp_path, *hooks).train()


@pytest.mark.parametrize(
    ('hook', 'settings', 'message'),
    [
        (StaticPruningHook, dict(keep_ratio=0.5, by='size'), "by='size'"),
        (StaticPruningHook, dict(keep_ratio=1.5), 'keep_ratio=1.5'),
        (ReGANHook, dict(interval=0), 'interval=0'),
        (ReGANHook, dict(sparsity=1.0), 'sparsity=1.0'),
        (ReGANHook, dict(dense_lr=0), 'dense_lr=0'),
        (DynamicSparseHook, dict(density={'generator': 0}), 'density=0'),
        (DynamicSparseHook, dict(interval=1.5), 'interval=1.5'),
        (BalanceRatioHook, dict(window=0), 'window=0'),
    ],
)
def test_bad_settings_are_refused(hook, settings, message):
    with pytest.raises(ConfigError, match=message):
        hook(**settings)
