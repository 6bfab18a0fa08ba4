"""The runs of a comparison differ in what they say."""

import pytest
from tiny import ROOT

from dev.benchmark.contestant import Contestant
from dev.benchmark.kinds import KINDS, Settings, config_of
from dev.benchmark.naive import NaiveRule
from rggan_mm.errors import ConfigError
from rggan_mm.training.channels_last import ChannelsLastHook

CIFAR = str(ROOT / 'configs' / 'rg_sngan_cifar10_10pct_diffaug.py')
DIGITS = str(ROOT / 'configs' / 'rg_sngan_digits_10pct.py')
SMALL = {'model.generator.base_channels': 8, 'model.discriminator.base_channels': 8}


def kinds_of_hooks(config):
    return [hook['type'] for hook in config.custom_hooks]


def test_dense_has_nothing_of_ours_but_the_augmentation():
    dense = config_of(KINDS['dense'], CIFAR, None, Settings())
    assert kinds_of_hooks(dense) == ['DiffAugmentHook']
    pruned = config_of(KINDS['published'], CIFAR, 5, Settings(channels_last=True))
    assert kinds_of_hooks(pruned) == [
        'DynamicPruningHook', 'RegenerationHook', 'DiffAugmentHook', 'ExactResumeHook',
        'DivergenceHook', 'PreemptionHook', 'ChannelsLastHook',
    ]  # fmt: skip
    assert pruned.train_dataloader['batch_size'] == 5
    assert pruned.train_dataloader['dataset']['image_size'] == 32
    defaults = config_of(KINDS['defaults'], CIFAR, None, Settings(channels_last=True))
    assert 'ChannelsLastHook' not in kinds_of_hooks(defaults)


@pytest.mark.parametrize('name', KINDS)
def test_each_trains_as_its_name_says(tmp_path, name):
    kind = KINDS[name]
    config = config_of(kind, DIGITS, 4, Settings(channels_last=True), SMALL)
    rival = Contestant(kind, config, tmp_path / name, keep_ratio=0.7)
    before = {n: p.clone() for n, p in rival.runner.model.named_parameters()}
    rival.time_turn()
    rival.time_sampling()
    assert rival.milliseconds[0] > 0
    assert rival.sampling[0] > 0
    assert rival.starting > 0
    assert rival.runner.iter == rival.length == 5
    moved = {n for n, p in rival.runner.model.named_parameters() if not p.equal(before[n])}
    assert any(n.startswith('generator.') for n in moved)
    assert any(n.startswith('discriminator.') for n in moved)
    laid_out = [h for h in rival.runner.hooks if isinstance(h, ChannelsLastHook)]
    assert bool(laid_out) == kind.settings
    assert set(rival.networks) == ({'generator', 'discriminator'} if kind.pruned else set())
    for network in rival.networks.values():
        assert network.sparse == kind.sparse
        ratio = network.keep_ratio()
        assert ratio == pytest.approx(0.7, abs=0.06) if kind.sparse else ratio == 1
        layers = network.layers.values()
        assert all(isinstance(layer.rule, NaiveRule) == kind.naive for layer in layers)
        assert kind.naive or network.mode == kind.mode


def test_a_config_without_pruning_and_one_with_conditions_are_refused():
    with pytest.raises(ConfigError, match='it has no DynamicPruningHook'):
        config_of(KINDS['published'], DIGITS.replace('rg_', ''), None, Settings())
    translation = str(ROOT / 'configs' / 'rg_cyclegan_facades.py')
    with pytest.raises(ConfigError, match='only unconditional GANs train on random images'):
        config_of(KINDS['dense'], translation, None, Settings())
