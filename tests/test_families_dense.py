"""The control: every family trains, saves and resumes as stock MMagic does it."""

import math

import pytest
from families import FAMILIES, family_runner
from family_walk import GROWTH, Watch, differences, family_params, moved, trained_networks

pytestmark = pytest.mark.slow


def train(name, folder, **overrides):
    """One training of a family, watched."""
    watch = Watch()
    runner = family_runner(name, folder, **overrides)
    runner.register_hook(watch)
    runner.train()
    return runner, watch


@pytest.mark.parametrize('name', family_params())
def test_a_family_trains_saves_and_resumes(tmp_path, name):
    runner, first = train(name, tmp_path, train_cfg__max_iters=4)
    assert len(trained_networks(runner.model)) >= 2
    if name in GROWTH:
        assert len({log[GROWTH[name]] for log in first.logs}) == 2
    runner, second = train(name, tmp_path, resume=True)
    assert (second.started_at, runner.iter) == (4, 6)
    assert differences(first.end, second.start) == []
    for watch, iterations in ((first, 4), (second, 2)):
        assert len(watch.logs) == iterations
        for log in watch.logs:
            assert any('loss' in key for key in log)
            assert all(map(math.isfinite, log.values())), log
        for network in trained_networks(runner.model):
            assert any('weight' in key for key in moved(network, watch.start, watch.end)), network


def test_eg3d_has_no_training_configs(tmp_path):
    assert 'no training part' in FAMILIES['eg3d'].reason
    with pytest.raises(RuntimeError, match='_train_loop'):
        family_runner('eg3d', tmp_path).train()


def test_eg3d_does_not_build_with_its_discriminator(tmp_path):
    assert 'does not build with a discriminator' in FAMILIES['eg3d'].reason
    discriminator = dict(type='DualDiscriminator', in_size=128, channel_multiplier=1)
    with pytest.raises(TypeError, match='num_classes'):
        family_runner('eg3d', tmp_path, model__discriminator=discriminator)
