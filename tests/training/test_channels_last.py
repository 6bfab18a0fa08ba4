"""Channels-last convolutions start from the same weights, and some networks refuse."""

import copy

import pytest
import torch
from families import FAMILIES, family_runner
from family_walk import family_params
from mmengine.hooks import Hook
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.training.channels_last import _lay_out

HOOK = dict(type='ChannelsLastHook')
OURS = dict(type='DataCheckHook')  # a run of ours too, which reads image files by name
DISCRIMINATORS = {
    'stylegan2': 'StyleGAN2Discriminator',
    'stylegan3_t': 'StyleGAN2Discriminator',
    'stylegan3_t_ada': 'ADAStyleGAN2Discriminator',
    'stylegan3_r': 'ADAStyleGAN2Discriminator',
    'mspie_stylegan2': 'MSStyleGAN2Discriminator',
}
FREE = [
    name for name, family in FAMILIES.items() if family.trainable and name not in DISCRIMINATORS
]
ORTHOGONAL = {
    f'model__{network}__init_cfg': dict(type='studio') for network in ('generator', 'discriminator')
}


class Watch(Hook):
    """Keeps states and logs; the same random numbers in an iteration, whatever came before."""

    priority = 'LOWEST'

    def __init__(self):
        self.logs = []

    def before_train(self, runner):
        self.start = copy.deepcopy(dict(runner.model.state_dict()))

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        torch.manual_seed(runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.logs.append({key: torch.as_tensor(value).item() for key, value in outputs.items()})


def train(name, folder, iterations, *hooks, **overrides):
    runner = family_runner(
        name,
        folder,
        hooks=hooks,
        train_cfg__max_iters=iterations,
        randomness__seed=0,
        **{f'val_{part}': None for part in ('cfg', 'dataloader', 'evaluator')},
        default_hooks__checkpoint__save_best=None,
        **overrides,
    )
    watch = Watch()
    runner.register_hook(watch)
    runner.train()
    return runner, watch


def convolutions(model):
    """Those whose layout shows: more than one input channel and more than one pixel."""
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and not hasattr(module, 'sn_weight')
        and min(module.weight.shape[1:3]) > 1
    ]


def stored_weight(module):
    return dict(module.named_parameters(recurse=False)).get('weight_orig', module.weight)


def is_laid_out(tensor):
    channels_last = tensor.is_contiguous(memory_format=torch.channels_last)
    return channels_last and not tensor.is_contiguous()


@pytest.mark.parametrize('name', family_params(FREE))
def test_training_starts_from_the_same_numbers(tmp_path, name):
    runner, ours = train(name, tmp_path / 'with', 1, HOOK)
    _, theirs = train(name, tmp_path / 'without', 1, OURS)
    assert ours.start.keys() == theirs.start.keys()
    for key, value in ours.start.items():
        assert torch.equal(value, theirs.start[key]), key
    # The arithmetic is the same but for the order of sums.
    assert ours.logs[0] == pytest.approx(theirs.logs[0], rel=1e-3, abs=1e-4)
    found = convolutions(runner.model)
    assert found or name == 'biggan_ajbrock'
    assert all(is_laid_out(stored_weight(module)) for module in found)


def test_orthogonal_weights_are_drawn_too(tmp_path):
    runner, ours = train('sngan_proj', tmp_path / 'with', 1, HOOK, **ORTHOGONAL)
    _, theirs = train('sngan_proj', tmp_path / 'without', 1, **ORTHOGONAL)
    assert all(torch.equal(value, theirs.start[key]) for key, value in ours.start.items())
    weight = ours.start['discriminator.conv_blocks.0.conv_1.conv.weight_orig'].flatten(1)
    assert torch.allclose(weight @ weight.T, torch.eye(len(weight)), atol=1e-5)
    # The symptom of a layout ahead of initialisation.
    runner.model._is_init = False
    with pytest.raises(RuntimeError, match='view size is not compatible'):
        runner.model.generator.init_weights()


def test_the_configured_weights_of_biggan_are_not_lost(tmp_path):
    _, watch = train('biggan_cifar10', tmp_path, 1, HOOK)
    for network in ('generator.', 'discriminator.'):
        keys = [k for k in watch.start if k.startswith(network) and k.endswith('weight_orig')]
        stored = torch.cat([watch.start[key].flatten() for key in keys])
        assert stored.std().item() == pytest.approx(0.02, rel=0.1)  # N02


@pytest.mark.parametrize('name', ['dcgan', 'biggan_cifar10'])
def test_a_resumed_run_ends_where_the_whole_one_did(tmp_path, name):
    whole, _ = train(name, tmp_path / 'whole', 4, HOOK)
    train(name, tmp_path / 'stopped', 2, HOOK)
    resumed, watch = train(name, tmp_path / 'stopped', 4, HOOK, resume=True)
    assert len(watch.logs) == 2
    weights = whole.model.state_dict()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, weights[key]), key
    for key, wrapper in whole.optim_wrapper.items():
        same_optimizer(wrapper.optimizer, resumed.optim_wrapper[key].optimizer)


def same_optimizer(ours, theirs):
    slots = zip(ours.state.items(), theirs.state.values(), strict=True)
    for (parameter, mine), other in slots:
        assert torch.equal(mine['exp_avg_sq'], other['exp_avg_sq'])
        assert mine['exp_avg'].stride() == other['exp_avg'].stride() == parameter.stride()


@pytest.mark.parametrize('part', ['val', 'test'])
def test_evaluation_alone_is_laid_out(tmp_path, part):
    # MMEngine's hook cannot look for the best checkpoint outside a training.
    save = dict(default_hooks__checkpoint__save_best=None)
    runner = family_runner('dcgan', tmp_path, hooks=[HOOK], **save)
    before = copy.deepcopy(dict(runner.model.state_dict()))
    getattr(runner, part)()
    found = convolutions(runner.model)
    assert found
    assert all(is_laid_out(module.weight) for module in found)
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize('name', family_params(DISCRIMINATORS))
def test_networks_that_view_convolutions_as_rows_are_refused(tmp_path, name):
    runner = family_runner(name, tmp_path, hooks=[HOOK])
    message = rf'ChannelsLastHook: \w*{DISCRIMINATORS[name]} cannot work in channels-last'
    with pytest.raises(ConfigError, match=message) as caught:
        runner.train()
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['stylegan2', 'mspie_stylegan2'])
def test_what_is_refused_would_fail(tmp_path, name):
    discriminator = family_runner(name, tmp_path).model.discriminator
    images = torch.zeros(4, 3, 16, 16)
    discriminator(images)
    _lay_out(discriminator)
    with pytest.raises(RuntimeError, match='view size is not compatible'):
        discriminator(images)
