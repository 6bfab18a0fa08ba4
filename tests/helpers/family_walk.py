"""Runs of families that are watched, and which of them `make test` takes."""

import copy

import pytest
import torch
from families import FAMILIES
from mmagic.models.editors import SinGAN
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseAveragedModel
from tiny import ROOT
from torch import nn

TRAINABLE = [name for name, family in FAMILIES.items() if family.trainable]
# Projection and spectral norm, modulated weights, growing networks, several generators.
REPRESENTATIVE = ('sngan_proj', 'stylegan2', 'pggan', 'cyclegan')
# What each logs about its growth; they grow before the run is interrupted.
GROWTH = {
    'pggan': 'curr_scale',
    'stylegan1': 'curr_scale',
    'singan': 'curr_stage',
    'pe_singan': 'curr_stage',
}
RG = Config.fromfile(ROOT / 'configs' / '_base_' / 'rg_hooks.py').rg_hooks


def family_params(names=TRAINABLE, representative=REPRESENTATIVE):
    """Families as parameters of a test; those that do not represent others are slow."""
    return [
        name if name in representative else pytest.param(name, marks=pytest.mark.slow)
        for name in names
    ]


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
            'singan': _singan_state(runner.model),
        }
    )


def _singan_state(model):
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


def rg_hooks(name, mode):
    """The base file's hooks; thresholds fast enough to prune within four iterations.

    The metric only gets worse, so the phase rule goes dense at the second evaluation.
    """
    threshold_lr = FAMILIES[name].threshold_lr
    return {
        'pruning': dict(RG.pruning, mode=mode, lam=1.0, lr=threshold_lr),
        'regeneration': RG.regeneration,
        'dense_merge': dict(RG.dense_merge, weights=[0.5, 0.5], metric='rising/iteration'),
    }
