"""DiffAugmentHook: what the discriminator sees in stock trainers."""

import pytest
import torch
from mmengine.hooks import Hook
from tiny import ROOT, tiny_runner
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import DiffAugmentHook

DENSE = ROOT / 'configs' / 'sngan_digits_10pct.py'


class Holder(nn.Module):
    """A model with one discriminator that gives its input back."""

    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


class Score(nn.Module):
    def forward(self, img, label=None):
        return img


class FakeRunner:
    def __init__(self, model):
        self.model = model


def start(hook=None, **children):
    model = Holder(**(children or {'discriminator': Score()}))
    hook = hook or DiffAugmentHook()
    hook.before_train(FakeRunner(model))
    return model, hook


@pytest.mark.parametrize('call', [lambda d, x: d(x), lambda d, x: d(img=x, label=torch.ones(4))])
def test_input_is_augmented_and_gradient_flows(call):
    model, hook = start()
    x = torch.rand(4, 3, 8, 8, requires_grad=True)
    seen = call(model.discriminator, x)
    assert not torch.equal(seen, x)
    seen.sum().backward()
    assert x.grad.abs().sum() > 0
    model.eval()
    assert torch.equal(model.discriminator(x), x)
    model.train()
    hook.after_train(None)
    assert torch.equal(model.discriminator(x), x)


def test_members_of_a_dict_of_discriminators_are_augmented():
    model, _ = start(discriminators=nn.ModuleDict({'a': Score(), 'b': Score()}))
    x = torch.rand(4, 3, 8, 8)
    for member in model.discriminators.values():
        assert not torch.equal(member(x), x)


def test_input_without_images_is_an_error():
    model, _ = start()
    with pytest.raises(ConfigError, match='Score received no batch of images'):
        model.discriminator(torch.rand(4, 3))


def test_reals_and_fakes_of_a_stock_trainer_are_augmented(tmp_path):
    inputs, scored = [], []

    class Look(Hook):
        # After DiffAugmentHook, so the second pre-hook sees the augmented images.
        priority = 'LOWEST'

        def before_train(self, runner):
            runner.model.discriminator.register_forward_pre_hook(
                lambda _, args: scored.append(args[0])
            )

    runner = tiny_runner(
        tmp_path,
        DENSE,
        custom_hooks=[dict(type='DiffAugmentHook', policy='cutout')],
        train_cfg__max_iters=5,
        train_cfg__val_interval=5,
    )
    runner.model.discriminator.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    runner.register_hook(Look())
    runner.train()
    # Five steps of the discriminator with fakes and reals, one of the generator.
    assert len(inputs) == len(scored) == 11
    for before, after in zip(inputs, scored, strict=True):
        assert (after == 0).sum() > (before == 0).sum()
    assert scored[-1].requires_grad
