"""Gradient penalties through masked weights, against networks masked by hand, in float64."""

from unittest import mock

import pytest
import torch
from hand_masked import HandMasked
from kinds import NETWORKS, build
from mmagic.models.editors.sagan import ProjDiscriminator
from mmagic.models.editors.stylegan2 import StyleGAN2Generator, stylegan2_discriminator
from mmagic.models.editors.wgan_gp import WGANGPDiscriminator
from mmagic.models.losses.gan_loss import (
    gen_path_regularizer,
    gradient_penalty_loss,
    r1_gradient_penalty_loss,
)
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from rggan_mm.pruning import SparseNetwork, choose_layers
from rggan_mm.pruning.layers import computing_weight, output_channels
from rggan_mm.pruning.magnitudes import magnitudes
from rggan_mm.pruning.masks import ste_mask

MODES = ('published', 'ste')
IMAGES = (2, 3, 16, 16)


def surrogate(x):
    """A function whose derivative is the estimator: 2 - 4|x|, then 0.4, then 0."""
    size = x.abs()
    near = 2 * size - 2 * size**2
    far = 0.48 + 0.4 * (size.clamp(max=1) - 0.4)
    return torch.sign(x) * torch.where(size <= 0.4, near, far)


def masks_by_hand(mode):
    """W and t to the mask: a constant, or a step with the surrogate's derivatives."""

    def mask(weight, thresholds):
        step = (weight.abs() > thresholds).to(weight.dtype).detach()
        if mode == 'published':
            return step
        slope = surrogate(weight.abs() - thresholds)
        return step + slope - slope.detach()

    return mask


class Discriminator(nn.Module):
    """Any layer as a critic of images."""

    def __init__(self, core, shape):
        super().__init__()
        self.core, self.shape = core, shape

    def forward(self, images):
        outputs = functional.softplus(self.core(images.reshape(self.shape)))
        return outputs.flatten(1).square().sum(1, keepdim=True)


class Generator(nn.Module):
    """Any layer as a generator with latents."""

    def __init__(self, core, shape):
        super().__init__()
        self.core, self.shape = core, shape

    def forward(self, noise, num_batches, return_latents):
        latents = torch.randn(self.shape, dtype=torch.float64).reshape(num_batches, 1, -1)
        latents.requires_grad_()
        images = torch.tanh(self.core(latents.reshape(self.shape)))
        return {'fake_img': images.reshape(num_batches, 1, 1, -1), 'latent': latents}


def r1(network, images):
    return r1_gradient_penalty_loss(network, images, norm_mode='HWC')


def gp(network, images):
    return gradient_penalty_loss(network, images, images.flip(0) ** 2, norm_mode='HWC')


def path_length(network, images):
    mean = torch.zeros((), dtype=torch.float64)
    return gen_path_regularizer(network, len(images), mean)[0]


def task(network, images):
    """The penalty beside an ordinary loss: parts of one sum, as in training."""
    return r1(network, images) + functional.softplus(network(images)).mean()


PENALTIES = {'r1': r1, 'gp': gp, 'path length': path_length, 'r1 and task': task}


@pytest.fixture(autouse=True)
def double():
    """MMagic's noises and scales take the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def prepare(network, mode):
    """The network with thresholds that take about half of the weights, and its twin by hand."""
    layers = choose_layers(network)
    for _ in range(100):  # brings spectral norms to rest, as magnitudes takes them
        for info in layers:
            computing_weight(info)
    medians = {
        info.name: size.median() for info, size in zip(layers, magnitudes(layers), strict=True)
    }
    network.eval()
    thresholds = {
        info.name: (0.5 + torch.rand(output_channels(info))) * medians[info.name] for info in layers
    }
    twin = HandMasked(network, masks_by_hand(mode), thresholds)
    sparse = SparseNetwork(network, mode)
    for name, threshold in sparse.thresholds.items():
        threshold.data.copy_(thresholds[name])
    return sparse, twin


def penalty_of(name, network, images):
    torch.manual_seed(1)
    return PENALTIES[name](network, images)


def assert_same_penalty(name, network, sparse, twin, twin_network, images):
    """Losses and all gradients agree; then what was pruned is freed of its gradient."""
    ours, theirs = (penalty_of(name, net, images) for net in (network, twin_network))
    assert torch.isfinite(ours)
    assert 0.2 < sparse.keep_ratio() < 0.8
    assert_close(ours, theirs, rtol=1e-9, atol=0)
    ours.backward()
    theirs.backward()
    for key, layer in sparse.layers.items():
        same_gradient(layer.info.stored, twin.raw[key])
        if sparse.mode == 'ste':
            same_gradient(layer.threshold, twin.thresholds[key])
        else:
            assert layer.threshold.grad is None
    pruned_are_freed(sparse)


def same_gradient(ours, theirs):
    # A layer of which the penalty is independent may have none, or zeros.
    found, expected = (torch.zeros_like(x) if x.grad is None else x.grad for x in (ours, theirs))
    assert torch.isfinite(found).all()
    assert_close(found, expected, rtol=1e-7, atol=1e-9 * (1 + expected.abs().max().item()))


def pruned_are_freed(sparse):
    before = {name: _gradient(layer) for name, layer in sparse.layers.items()}
    sparse.mask_raw_gradients()
    for name, layer in sparse.layers.items():
        if layer.mask.shape != layer.info.stored.shape:
            continue
        expected = before[name] if sparse.mode == 'ste' else before[name] * layer.mask
        assert torch.equal(_gradient(layer), expected)


def _gradient(layer):
    stored = layer.info.stored
    return torch.zeros_like(stored) if stored.grad is None else stored.grad.clone()


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('penalty', PENALTIES)
@pytest.mark.parametrize('name', NETWORKS)
def test_every_kind_of_layer(name, penalty, mode):
    core, x = build(name)
    sparse, twin = prepare(core, mode)
    role = Generator if penalty == 'path length' else Discriminator
    network, by_hand = (role(net, x.shape) for net in (core, twin))
    assert_same_penalty(penalty, network, sparse, twin, by_hand, x.reshape(2, 4, -1, 1))


class SmallGenerator(StyleGAN2Generator):
    """With 8 channels in place of MMagic's 512."""

    @property
    def channels(self):
        return self.__dict__['channels']

    @channels.setter
    def channels(self, numbers):
        self.__dict__['channels'] = {size: number // 64 for size, number in numbers.items()}


def small_stylegan2():
    """The same of its discriminator, which asks for 512 by name."""

    def shrunk(layer):
        return lambda n_in, n_out, *args, **kwargs: layer(few(n_in), few(n_out), *args, **kwargs)

    def few(channels):
        return channels // 64 + channels % 64

    layers = ('ConvDownLayer', 'ResBlock', 'EqualLinearActModule')
    shrunken = {name: shrunk(getattr(stylegan2_discriminator, name)) for name in layers}
    with mock.patch.multiple(stylegan2_discriminator, **shrunken):
        # It would end in float32 whatever its weights are.
        return stylegan2_discriminator.StyleGAN2Discriminator(16, convert_input_fp32=False)


class SmallWGANGP(WGANGPDiscriminator):
    """The same."""

    _default_channels_per_scale = {'4': 12, '8': 8, '16': 6}  # noqa: RUF012


DISCRIMINATORS = {
    'StyleGAN2': small_stylegan2,
    'WGAN-GP': lambda: SmallWGANGP(3, 16),
    'SNGAN': lambda: ProjDiscriminator(
        16, base_channels=6, channels_cfg=[1], downsample_cfg=[True], num_classes=0
    ),
}


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('penalty', ['r1', 'gp', 'r1 and task'])
@pytest.mark.parametrize('name', DISCRIMINATORS)
def test_discriminators_of_mmagic(name, penalty, mode):
    torch.manual_seed(0)
    network = DISCRIMINATORS[name]().double()
    sparse, twin = prepare(network, mode)
    assert_same_penalty(penalty, network, sparse, twin, twin, torch.randn(IMAGES))


@pytest.mark.parametrize('mode', MODES)
def test_path_length_of_stylegan2(mode):
    torch.manual_seed(0)
    network = SmallGenerator(16, 8, num_mlps=2).double()
    sparse, twin = prepare(network, mode)
    assert_same_penalty('path length', network, sparse, twin, twin, torch.empty(IMAGES))


@pytest.mark.parametrize('seed', range(5))
def test_second_derivatives_of_the_straight_through_estimator(seed):
    """Gradients of gradients by W and t are those of the surrogate, written out."""
    torch.manual_seed(seed)
    weight, thresholds = torch.randn(6, 5) * 0.7, torch.rand(6, 1) - 0.2
    factors = torch.randn(3, 6, 5)

    def derivatives(mask):
        w, t = (x.clone().requires_grad_() for x in (weight, thresholds))
        value = (torch.sin(w * mask(w, t)) * factors[0]).sum()
        by_w, by_t = torch.autograd.grad(value, (w, t), create_graph=True)
        again = (by_w * factors[1]).sum() + (by_t.square() * factors[2, :, :1]).sum()
        return [value, by_w, by_t, *torch.autograd.grad(again, (w, t))]

    for ours, theirs in zip(derivatives(ste_mask), derivatives(masks_by_hand('ste')), strict=True):
        assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_the_surrogate_written_out_has_the_published_derivative():
    x = torch.tensor([-1.5, -0.7, -0.3, 0.1, 0.399, 0.401, 0.99, 1.01], requires_grad=True)
    (slope,) = torch.autograd.grad(surrogate(x).sum(), x, create_graph=True)
    assert_close(slope, torch.tensor([0, 0.4, 0.8, 1.6, 0.404, 0.4, 0.4, 0]))
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    assert_close(curvature, torch.tensor([0.0, 0, 4, -4, -4, 0, 0, 0]))
