"""Networks, averages and optimisers: found by what they are, or named in the config."""

import copy
import re

import pytest
import torch
from mmengine.model import BaseModule
from tiny import Records, tiny_runner
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DynamicPruningHook
from rggan_mm.hooks.attaching import attach
from rggan_mm.hooks.discovery import find_averages, find_networks, judge_layers, sparse_networks


class Gan(BaseModule):
    """The parts of a model that count here."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def layers():
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))


def frozen(network):
    return network.requires_grad_(False)


def plain_average():
    generator = layers()
    return Gan(generator=generator, generator_ema=copy.deepcopy(generator), critic=nn.Linear(2, 1))


def test_a_plain_average_is_no_network_of_its_own():
    model = plain_average()
    networks = find_networks(model)
    assert list(networks) == ['generator', 'critic']
    assert find_averages(model, networks) == {'generator_ema': (model.generator_ema, 'generator')}


def test_what_only_looks_like_an_average_by_name_is_a_network():
    model = Gan(generator=layers(), other_ema=nn.Linear(2, 1))
    networks = find_networks(model)
    assert list(networks) == ['generator', 'other_ema']
    assert find_averages(model, networks) == {}


def test_an_average_of_another_name_can_be_named():
    generator = layers()
    model = Gan(generator=generator, slow=frozen(copy.deepcopy(generator)))
    networks = find_networks(model)
    assert find_averages(model, networks) == {}
    assert find_averages(model, networks, {'slow': 'generator'}) == {
        'slow': (model.slow, 'generator')
    }


@pytest.mark.parametrize(
    ('named', 'message'),
    [
        ({'fast': 'generator'}, "averages: there is no 'fast'; there is: generator, slow"),
        ({'slow': 'critic'}, "averages: there is no 'critic'; there is: generator"),
        ({'slow': 'generator'}, "averages: 'slow' has other parameters than 'generator'"),
    ],
)
def test_a_wrong_average_is_refused(named, message):
    model = Gan(generator=layers(), slow=frozen(nn.Linear(1, 1)))
    with pytest.raises(ConfigError, match=re.escape(message)):
        find_averages(model, find_networks(model), named)


def test_the_longest_name_wins_among_networks_of_one_shape():
    parts = {name: nn.Linear(2, 1) for name in ('critic', 'critic_2')}
    model = Gan(**parts, critic_2_ema=copy.deepcopy(parts['critic_2']))
    averages = find_averages(model, find_networks(model))
    assert averages == {'critic_2_ema': (model.critic_2_ema, 'critic_2')}


def test_a_layer_of_two_networks_is_refused_unless_one_is_chosen():
    shared = nn.Linear(2, 2)
    model = Gan(critic=nn.Sequential(shared), generator=nn.Sequential(shared, nn.Linear(2, 2)))
    networks = find_networks(model)
    message = "networks: 'critic' and 'generator' share the layer '0'; name one of the two"
    with pytest.raises(ConfigError, match=message):
        judge_layers(networks, None, ())
    judged = judge_layers(networks, None, ['critic.0'])
    assert [info.prunable for info in judged['generator']] == [True, True]
    assert attach(model, 'published', networks=['generator']) == [
        'generator: 2 layers pruned',
        'critic: left dense, it is neither trained nor an average of a pruned network',
    ]


def test_a_test_before_training_leaves_thresholds_to_their_own_optimiser(tmp_path):
    runner = tiny_runner(tmp_path)
    runner.test()
    runner.train()
    assert runner.iter == 6
    assert sparse_networks(runner.model)['generator'].threshold_mean() > 0


def test_a_test_that_leaves_pruned_layers_dense_says_so(tmp_path):
    tiny_runner(tmp_path).train()
    (best,) = tmp_path.glob('best_*.pth')
    exclude = {'DynamicPruningHook.exclude': ['generator']}
    runner = tiny_runner(tmp_path / 'test', load_from=str(best), **exclude)
    records = Records(runner)
    runner.test()
    (message,) = records.having('compute dense here')
    # Those of the generator and of its average.
    assert '16 layers that are pruned in the checkpoint compute dense here, generator' in message
    runner = tiny_runner(tmp_path / 'again', load_from=str(best))
    records = Records(runner)
    runner.test()
    assert not records.having('compute dense here')


def test_frozen_layers_stay_dense_and_say_so():
    model = Gan(discriminator=layers())
    frozen(model.discriminator[0])
    first, second = judge_layers(find_networks(model), None, ())['discriminator']
    assert first.reason == 'frozen: requires_grad is False'
    assert second.prunable


def test_patterns_reach_across_networks():
    networks = find_networks(plain_average())
    judged = judge_layers(networks, None, ['critic', 'generator.2'])
    reasons = {name: [info.reason for info in infos] for name, infos in judged.items()}
    assert reasons == {
        'generator': ['', 'excluded by generator.2'],
        'critic': ['excluded by critic'],
    }
    with pytest.raises(ConfigError, match='nothing is left to prune in generator, critic'):
        judge_layers(networks, None, ['*'])


def test_excluded_layers_stay_dense_in_a_run_averages_included(tmp_path):
    runner = tiny_runner(
        tmp_path,
        **{'DynamicPruningHook.exclude': ['*.to_rgb', 'discriminator', 'generator.noise2feat']},
    )
    runner.train()
    networks = sparse_networks(runner.model)
    assert set(networks) == {'generator', 'generator_ema'}
    assert networks['generator'].layers.keys() == networks['generator_ema'].layers.keys()
    assert len(networks['generator'].layers) == 6
    thresholds = [key for key in runner.model.state_dict() if key.endswith('threshold')]
    assert thresholds
    assert not any('discriminator' in key for key in thresholds)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'networks': 'generator'}, "networks='generator' must be a list of names"),
        ({'networks': []}, 'networks=[] must be a list of names'),
        ({'exclude': 'generator'}, "exclude='generator' must be a list of patterns"),
        ({'lam': {'generator': -1}}, 'lam.generator=-1 must be a finite number >= 0'),
        ({'averages': ['x']}, "averages=['x'] must be a dict by name"),
        ({'optimizers': 'x'}, "optimizers='x' must be a dict by name"),
        ({'optimizers': {'generator': 'x'}}, "optimizers.generator='x' must be a list of names"),
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        DynamicPruningHook(**arguments)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'exclude': ['generator.to_rgbs']}, "pattern 'generator.to_rgbs' matches no prunable"),
        ({'averages': {'ema': 'generator'}}, "averages: there is no 'ema'"),
        ({'optimizers': {'g': ['generator']}}, "optimizers: there is no 'g'"),
        ({'lam': {'generator': 1.0}}, "there is none for 'discriminator'; name every pruned"),
        (
            {'lam': {'generator': 1.0, 'discriminator': 1.0, 'critic': 1.0}},
            "lam names 'critic', which is not pruned; pruned is: generator, discriminator",
        ),
        ({'optimizers': {'generator': ['g']}}, "optimizers: there is no 'g'; there is: generator"),
        (
            {'optimizers': {'generator': ['discriminator']}},
            "no optimizer trains 'generator'",
        ),
    ],
)
def test_names_that_the_model_lacks_are_refused_when_the_run_starts(tmp_path, arguments, message):
    runner = tiny_runner(
        tmp_path, **{f'DynamicPruningHook.{name}': value for name, value in arguments.items()}
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        runner.train()


def test_each_network_may_have_a_lambda_of_its_own(tmp_path):
    lam = {'generator': 0.0, 'discriminator': 1.0}
    runner = tiny_runner(tmp_path, **{'DynamicPruningHook.lam': lam})
    runner.train()
    networks = sparse_networks(runner.model)
    assert networks['generator'].threshold_mean() == 0
    assert networks['discriminator'].threshold_mean() > 0


def test_another_lambda_on_resume_and_a_lambda_of_nothing_are_warned_of(tmp_path):
    tiny_runner(tmp_path, train_cfg__max_iters=2).train()
    runner = tiny_runner(tmp_path, resume=True, **{'DynamicPruningHook.lam': 0.0})
    records = Records(runner)
    runner.train()
    assert len(records.having('lam was 7e-11, is 0 now')) == 2
    assert len(records.having('discriminator: lam=0 keeps the thresholds where they are')) == 1


def test_a_lambda_of_nothing_trains_on_with_fixed_thresholds(tmp_path):
    tiny_runner(tmp_path / 'sparse', train_cfg__max_iters=2).train()
    saved = str(tmp_path / 'sparse' / 'iter_2.pth')
    still = {'DynamicPruningHook.lam': 0.0, 'rg_hooks.dense_merge': None, 'rg_hooks.curves': None}
    runner = tiny_runner(tmp_path / 'still', load_from=saved, **still)
    records = Records(runner)
    runner.train()
    # The generator steps in one iteration of five.
    assert len(records.having('generator: lam=0 prunes nothing')) == 1
    assert len(records.having('discriminator: lam=0 keeps the thresholds')) == 1
    before = torch.load(saved, weights_only=True)['state_dict']
    thresholds = {n: v for n, v in runner.model.named_parameters() if n.endswith('.threshold')}
    assert any((value > 0).any() for value in thresholds.values())
    for name, value in thresholds.items():
        assert name.startswith('generator_ema') or torch.equal(value, before[name])


@pytest.mark.parametrize(
    ('mode', 'said'), [('published', 'lam=0 prunes nothing'), ('ste', 'the task alone moves')]
)
def test_what_a_lambda_of_nothing_does_from_the_start(tmp_path, mode, said):
    changes = {'DynamicPruningHook.lam': 0.0, 'DynamicPruningHook.mode': mode}
    runner = tiny_runner(tmp_path, train_cfg__max_iters=1, **changes)
    records = Records(runner)
    runner.train()
    assert len(records.having(said)) == 2
