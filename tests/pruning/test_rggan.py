"""RG-GAN in a loop of one's own: order, phases, resume, removal."""

import copy
import re

import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import RGGAN, SparseNetwork

ADAM = {'lr': 1e-3, 'betas': (0.0, 0.9)}
SETTINGS = {'lam': 1e-6, 'lr': 0.02}
# Improving, then worse: the rule switches at the fifth and the sixth.
FIDS = (50.0, 40.0, 30.0, 20.0, 60.0, 10.0)

STEERED = {**SETTINGS, 'lam': None, 'keep_ratio': 0.5, 'steps': 18}


def networks():
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
    discriminator = nn.Sequential(
        spectral_norm(nn.Linear(8, 16)), nn.ReLU(), spectral_norm(nn.Linear(16, 1))
    )
    return {'generator': generator, 'discriminator': discriminator}


def optimizers(nets):
    return {name: Adam(net.parameters(), **ADAM) for name, net in nets.items()}


def train(nets, opts, iterations, start=0, average=None):
    """A GAN loop that knows nothing of RG-GAN."""
    generator, discriminator = nets['generator'], nets['discriminator']
    for i in range(start, start + iterations):
        random = torch.Generator().manual_seed(i)
        real = torch.randn(6, 8, generator=random)
        noise = torch.randn(6, 4, generator=random)
        opts['discriminator'].zero_grad()
        loss = (1 - discriminator(real)).relu().mean()
        loss = loss + (1 + discriminator(generator(noise).detach())).relu().mean()
        loss.backward()
        opts['discriminator'].step()
        opts['generator'].zero_grad()
        (-discriminator(generator(noise)).mean()).backward()
        opts['generator'].step()
        if average is not None:
            with torch.no_grad():
                pairs = zip(average.parameters(), generator.parameters(), strict=True)
                for mean, value in pairs:
                    mean.lerp_(value, 0.1)


def weights_of(nets):
    return {f'{n}.{k}': v.clone() for n, net in nets.items() for k, v in net.state_dict().items()}


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize('mode', ['published', 'ste'])
def test_the_order_in_which_things_were_made_does_not_matter(mode):
    results = []
    for order in ('optimizers first', 'optimizers last', 'average last'):
        nets = networks()
        opts = optimizers(nets) if order != 'optimizers last' else None
        average = copy.deepcopy(nets['generator']) if order != 'average last' else None
        given = {} if average is None else {'generator': average}
        rg = RGGAN(nets, opts, given, mode=mode, **SETTINGS)
        if opts is None:
            opts = optimizers(nets)  # they take the thresholds in
            for name, optimizer in opts.items():
                rg.follow(name, optimizer)
        average = copy.deepcopy(nets['generator']) if average is None else average
        train(nets, opts, 5, average=average)
        results.append(weights_of({**nets, 'average': average}))
        assert 0 < rg.keep_ratios()['generator'] < 1
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])


def test_all_networks_and_averages_switch_together():
    nets = networks()
    average = AveragedModel(nets['generator'], multi_avg_fn=get_ema_multi_avg_fn(0.9))
    rg = RGGAN(nets, optimizers(nets), {'generator': average}, **SETTINGS)
    attached = [*nets.values(), average.module]
    phases, switched = [], []
    for fid in FIDS:
        switched.append(rg.evaluated(fid))
        phases.append({SparseNetwork.of(network).sparse for network in attached})
    assert switched == [False, False, False, False, True, True]
    assert phases == [{True}] * 4 + [{False}, {True}]
    assert rg.sparse


def test_averaged_model_of_pytorch_averages_thresholds_too():
    nets = networks()
    opts = optimizers(nets)
    average = AveragedModel(nets['generator'], multi_avg_fn=get_ema_multi_avg_fn(0.5))
    RGGAN(nets, opts, {'generator': average}, **SETTINGS)
    for i in range(3):
        train(nets, opts, 1, start=i)
        average.update_parameters(nets['generator'])
    mean = average.module.state_dict()['0.threshold']
    now = nets['generator'].state_dict()['0.threshold']
    assert ((mean > 0) & (mean < now)).all()


@pytest.mark.parametrize('strength', ['lam', 'keep_ratio'])
@pytest.mark.parametrize('mode', ['published', 'ste'])
@pytest.mark.parametrize('evaluations', [2, 5])
def test_a_stopped_loop_goes_on_exactly(mode, evaluations, strength, tmp_path):
    settings = SETTINGS if strength == 'lam' else STEERED

    def start():
        nets = networks()
        opts = optimizers(nets)
        average = copy.deepcopy(nets['generator'])
        rg = RGGAN(nets, opts, {'generator': average}, mode=mode, **settings)
        return nets, opts, average, rg

    def go_on(nets, opts, average, rg, evaluated):
        for i in evaluated:
            train(nets, opts, 3, start=3 * i, average=average)
            rg.evaluated(FIDS[i])

    whole = start()
    go_on(*whole, range(6))
    nets, opts, average, rg = start()
    go_on(nets, opts, average, rg, range(evaluations))
    state = {
        'networks': {name: net.state_dict() for name, net in nets.items()},
        'optimizers': {name: opt.state_dict() for name, opt in opts.items()},
        'average': average.state_dict(),
        'rggan': rg.state_dict(),
    }
    torch.save(state, tmp_path / 'state.pth')
    ratios = rg.keep_ratios()

    nets, opts, average, rg = start()
    state = torch.load(tmp_path / 'state.pth', weights_only=True)
    for name in nets:
        nets[name].load_state_dict(state['networks'][name])
        opts[name].load_state_dict(state['optimizers'][name])
    average.load_state_dict(state['average'])
    rg.load_state_dict(state['rggan'])
    assert rg.keep_ratios()['generator'] == ratios['generator']
    go_on(nets, opts, average, rg, range(evaluations, 6))
    assert_same(
        weights_of({**nets, 'average': average}),
        weights_of({**whole[0], 'average': whole[2]}),
    )


def test_a_keep_ratio_is_reached_in_a_loop_of_ones_own():
    nets = networks()
    opts = optimizers(nets)
    wanted = {'generator': 0.7, 'discriminator': 0.4}
    rg = RGGAN(nets, opts, keep_ratio=wanted, steps=200, lr=5e-3)
    for start in range(0, 200, 20):
        train(nets, opts, 20, start)
        rg.evaluated(100.0 - start)  # improving: sparse all the time
    assert rg.keep_ratios() == pytest.approx(wanted, abs=0.05)


def test_without_evaluations_it_is_reached_as_well():
    nets = networks()
    opts = optimizers(nets)
    rg = RGGAN(nets, opts, keep_ratio=0.5, steps=200, lr=5e-3)
    train(nets, opts, 200)
    assert rg.keep_ratios() == pytest.approx({'generator': 0.5, 'discriminator': 0.5}, abs=0.05)


def test_a_state_of_another_keep_ratio_is_taken_but_for_its_lambda():
    def start(share):
        nets = networks()
        opts = optimizers(nets)
        return nets, opts, RGGAN(nets, opts, keep_ratio=share, steps=200, lr=5e-3)

    nets, opts, rg = start(0.9)
    train(nets, opts, 50)
    rg.evaluated(1.0)
    others, other_opts, other = start(0.4)
    for name in nets:
        others[name].load_state_dict(nets[name].state_dict())
        other_opts[name].load_state_dict(opts[name].state_dict())
    with pytest.warns(UserWarning, match=r'keep_ratio was 0\.9, is 0\.4 now'):
        other.load_state_dict(rg.state_dict())
    for name, optimizer in other.threshold_optimizers.items():
        assert optimizer.lam > rg.threshold_optimizers[name].lam
    for begin in range(50, 200, 25):
        train(others, other_opts, 25, begin)
        other.evaluated(1.0 - begin)
    assert other.keep_ratios() == pytest.approx({'generator': 0.4, 'discriminator': 0.4}, abs=0.05)


def test_the_first_step_starts_from_the_weights_as_they_are_then():
    nets = networks()
    opts = optimizers(nets)
    rg = RGGAN(nets, opts, keep_ratio=0.5, steps=200, lr=5e-3)
    assert rg.threshold_optimizers['generator'].lam == 0
    with torch.no_grad():
        for parameter in nets['generator'].parameters():
            parameter.mul_(100)
    with pytest.raises(ConfigError, match=r'keep_ratio=0\.5 is out of reach'):
        train(nets, opts, 1)


def test_after_removal_an_optimiser_counts_no_more():
    nets = networks()
    opts = optimizers(nets)
    RGGAN(nets, opts, keep_ratio=0.5, steps=200, lr=5e-3).remove()
    assert not any(opt._optimizer_step_pre_hooks for opt in opts.values())


def test_after_remove_training_goes_on_as_if_nothing_had_been_attached():
    nets = networks()
    opts = optimizers(nets)
    rg = RGGAN(nets, opts, **SETTINGS)
    train(nets, opts, 5)
    rg.remove()
    plain = networks()
    plain_opts = optimizers(plain)
    for name in plain:
        plain[name].load_state_dict(nets[name].state_dict())
        plain_opts[name].load_state_dict(copy.deepcopy(opts[name].state_dict()))
        assert vars(opts[name]).get('zero_grad') is None
        assert not opts[name]._optimizer_step_pre_hooks
        assert not opts[name]._optimizer_step_post_hooks
    train(nets, opts, 3, start=5)
    train(plain, plain_opts, 3, start=5)
    assert_same(weights_of(nets), weights_of(plain))


def test_remove_with_fold_bakes_the_zeros_in():
    nets = networks()
    opts = optimizers(nets)
    rg = RGGAN(nets, opts, **SETTINGS)
    train(nets, opts, 5)
    x = {'generator': torch.randn(3, 4), 'discriminator': torch.randn(3, 8)}
    masked = {name: nets[name].eval()(x[name]) for name in nets}
    ratio = rg.keep_ratios()['generator']
    rg.remove(fold=True)
    layers = [nets['generator'][0].weight, nets['generator'][2].weight]
    zeros = sum(int((weight == 0).sum()) for weight in layers)
    assert zeros == round((1 - ratio) * sum(weight.numel() for weight in layers)) > 0
    for name, net in nets.items():
        assert torch.allclose(net(x[name]), masked[name], atol=1e-6)
        assert not [key for key in net.state_dict() if 'threshold' in key or 'phase' in key]


def test_include_and_exclude_name_network_and_layer():
    nets = networks()
    rg = RGGAN(nets, exclude=['generator.2'])
    assert list(rg.sparse_networks['generator'].layers) == ['0']
    assert list(rg.sparse_networks['discriminator'].layers) == ['0', '2']


def test_repr_says_phase_layers_and_keep_ratio():
    nets = networks()
    rg = RGGAN(nets)
    assert 'generator=SparseNetwork(Sequential, sparse phase, 2 layers, keep ratio 1.000)' in repr(
        rg
    )


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'lam': 1e-9, 'keep_ratio': 0.5, 'steps': 9}, 'are both set'),
        ({'steps': 9}, 'steps=9 counts only with keep_ratio'),
        ({'keep_ratio': 0.5}, 'steps=None must be an integer of at least 1'),
        ({'keep_ratio': {'generator': 0.5}, 'steps': 9}, "there is none for 'discriminator'"),
        ({'keep_ratio': 0.5, 'steps': {'genrator': 9}}, "steps: there is no network 'genrator'"),
        ({'lam': {'generator': 1e-9}}, "lam={'generator': 1e-09}: there is none for 'discrim"),
        ({'optimizers': {'genrator': None}}, "optimizers: there is no network 'genrator'"),
        ({'averages': {'ema': nn.Linear(1, 1)}}, "averages: there is no network 'ema'"),
        ({'mode': 'dst'}, "mode='dst'"),
        ({'exclude': ['generator.9']}, "pattern 'generator.9'"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_attached(changes, named):
    nets = networks()
    with pytest.raises(ConfigError, match=re.escape(named)):
        RGGAN(nets, **changes)
    assert RGGAN(nets).keep_ratios() == {'generator': 1, 'discriminator': 1}
