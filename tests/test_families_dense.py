"""The control: every family trains, saves and resumes as stock MMagic does it."""

import copy
import math

import pytest
import torch
from families import FAMILIES, family_runner
from mmagic.models.editors import SinGAN
from mmengine.hooks import Hook
from mmengine.model import BaseAveragedModel
from torch import nn

TRAINABLE = [name for name, family in FAMILIES.items() if family.trainable]
# What each logs about its growth; they grow before the run is interrupted.
GROWTH = {
    'pggan': 'curr_scale',
    'stylegan1': 'curr_scale',
    'singan': 'curr_stage',
    'pe_singan': 'curr_stage',
}


class Watch(Hook):
    """Keeps the state at start and end of a training, and what each iteration logs.

    The end is the last iteration: evaluating Pix2Pix changes its batch norms.
    """

    priority = 'LOWEST'

    def __init__(self):
        self.logs = []

    def before_train(self, runner):
        self.started_at = runner.iter
        self.start = state_of(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.logs.append({k: torch.as_tensor(value).item() for k, value in outputs.items()})
        self.end = state_of(runner)


def state_of(runner):
    """All that must come back when a run resumes."""
    return copy.deepcopy(
        {
            'model': dict(runner.model.state_dict()),
            'optimizers': runner.optim_wrapper.state_dict(),
            'singan': singan_state(runner.model),
        }
    )


def singan_state(model):
    """What SinGAN keeps beside its parameters; nothing for other models."""
    if not isinstance(model, SinGAN):
        return {}
    return {name: getattr(model, name) for name in ('curr_stage', 'noise_weights', 'fixed_noises')}


def trained_networks(model):
    """Generators and discriminators by name, those in dicts one by one."""
    found = {}
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleDict):
            found.update({f'{name}.{key}': member for key, member in child.items()})
        elif not isinstance(child, BaseAveragedModel) and list(child.parameters()):
            found[name] = child
    return found


def moved(network_name, before, after):
    """Names of a network's parameters that training changed."""
    return [
        key
        for key, value in after['model'].items()
        if key.startswith(f'{network_name}.') and not torch.equal(value, before['model'][key])
    ]


def differences(ours, theirs, where=''):
    """Places in which two nested states differ."""
    if isinstance(ours, dict) and ours.keys() == theirs.keys():
        pairs = [(f'{where}/{key}', ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, (list, tuple)) and len(ours) == len(theirs):
        pairs = [(f'{where}/{i}', *pair) for i, pair in enumerate(zip(ours, theirs, strict=True))]
    elif isinstance(ours, torch.Tensor):
        return [] if torch.equal(ours, theirs) else [where]
    else:
        return [] if ours == theirs else [where]
    return [place for key, a, b in pairs for place in differences(a, b, key)]


def train(name, folder, **overrides):
    """One training of a family, watched."""
    watch = Watch()
    runner = family_runner(name, folder, **overrides)
    runner.register_hook(watch)
    runner.train()
    return runner, watch


@pytest.mark.parametrize('name', TRAINABLE)
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
