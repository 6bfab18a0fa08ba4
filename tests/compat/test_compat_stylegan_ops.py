"""StyleGAN's operators against their definitions, with both derivatives."""

import math
from importlib import import_module

import mmcv.ops
import pytest
import torch
from stylegan_definitions import convolved, leaky, per_channel, resample, transposed
from torch.autograd import gradcheck, gradgradcheck

both_devices = pytest.mark.parametrize(
    'device', ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)]
)
conv2d_gradfix = import_module('mmcv.ops.conv2d_gradfix')


def draw(*shape, device='cpu', seed=0):
    """Random float64 numbers that want gradients."""
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.to(device).requires_grad_()


def filters(*shape, device='cpu'):
    return draw(*shape, device=device, seed=1).detach().float()


RESAMPLINGS = {
    'nothing': ((1, 1), dict(), ((1, 1), (1, 1), (0, 0, 0, 0))),
    'up': ((4, 4), dict(up=2, padding=[2, 1, 2, 1], gain=4), ((2, 2), (1, 1), (2, 1, 2, 1))),
    'down': ((3, 4), dict(down=2, padding=[1, 1]), ((1, 1), (2, 2), (1, 1, 1, 1))),
    'both': (
        (2, 3),
        dict(up=(3, 2), down=(2, 3), padding=[2, 0, 1, 3]),
        ((3, 2), (2, 3), (2, 0, 1, 3)),
    ),
    'crop': ((2, 2), dict(padding=[-1, 0, 2, -2]), ((1, 1), (1, 1), (-1, 0, 2, -2))),
    'separable': ((3,), dict(up=2, padding=1, gain=4), ((2, 2), (1, 1), (1, 1, 1, 1))),
}
ACTIVATIONS = {
    'linear': (1, lambda x: x),
    'relu': (2**0.5, lambda x: torch.where(x > 0, x, 0 * x)),
    'lrelu': (2**0.5, lambda x: leaky(x, 0.2)),
    'tanh': (1, lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())),
    'sigmoid': (1, lambda x: 1 / (1 + (-x).exp())),
    'elu': (1, lambda x: torch.where(x > 0, x, x.exp() - 1)),
    'softplus': (1, lambda x: (1 + x.exp()).log()),
    'swish': (2**0.5, lambda x: x / (1 + (-x).exp())),
}


@both_devices
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('name', RESAMPLINGS)
def test_upfirdn2d_is_insert_pad_filter_decimate(name, flip, device):
    size, options, wanted = RESAMPLINGS[name]
    taps, x = filters(*size, device=device), draw(2, 2, 4, 5, device=device)

    def op(x):
        return mmcv.ops.upfirdn2d(x, taps, flip_filter=flip, **options)

    expected = resample(x, taps, *wanted, flip=flip, gain=options.get('gain', 1))
    torch.testing.assert_close(op(x), expected, rtol=1e-6, atol=1e-6)
    small = draw(1, 1, 3, 3, device=device)
    assert gradcheck(op, small)
    assert gradgradcheck(op, small)


def test_upfirdn2d_without_a_filter_keeps_the_pixels():
    x = draw(1, 2, 3, 3)
    assert torch.equal(mmcv.ops.upfirdn2d(x, None, down=2), x[:, :, ::2, ::2])


@pytest.mark.parametrize(
    ('device', 'dtype'),
    [
        ('cpu', torch.bfloat16),
        ('cpu', torch.float64),
        # Not every PyTorch convolves in float16 on the CPU.
        pytest.param('cuda', torch.float16, marks=pytest.mark.gpu),
    ],
)
def test_upfirdn2d_takes_a_filter_in_the_precision_of_its_network(device, dtype):
    x, taps = draw(1, 1, 4, 4, device=device).to(dtype), filters(2, 2, device=device)
    out = mmcv.ops.upfirdn2d(x, taps.to(dtype))
    assert out.dtype == dtype
    expected = resample(x.double(), taps)
    torch.testing.assert_close(out.double(), expected, rtol=2e-2, atol=5e-2)


@both_devices
@pytest.mark.parametrize('shape', [(3, 2), (2, 2, 3, 3)])
def test_fused_bias_leaky_relu_is_what_its_name_says(shape, device):
    x, bias = draw(*shape, device=device), draw(2, device=device, seed=2)
    expected = leaky(x + per_channel(bias, x), 0.3) * 1.7

    def op(x, bias):
        return mmcv.ops.fused_bias_leakyrelu(x, bias, 0.3, 1.7)

    torch.testing.assert_close(op(x, bias), expected)
    assert gradcheck(op, (x, bias))
    assert gradgradcheck(op, (x, bias))


@both_devices
@pytest.mark.parametrize('act', ACTIVATIONS)
def test_bias_act_adds_activates_scales_and_clamps(act, device):
    gain, function = ACTIVATIONS[act]
    x, bias = draw(2, 3, 2, 2, device=device), draw(3, device=device, seed=2)

    def op(x, bias):
        return mmcv.ops.bias_act(x, bias, act=act, clamp=0.9)

    expected = (function(x + per_channel(bias, x)) * gain).clamp(-0.9, 0.9)
    torch.testing.assert_close(op(x, bias), expected)
    twice = mmcv.ops.bias_act(x, act=act, gain=2 * gain)
    torch.testing.assert_close(twice, 2 * gain * function(x))
    assert gradcheck(op, (x, bias))
    assert gradgradcheck(op, (x, bias))


@both_devices
@pytest.mark.parametrize('clamp', [None, 0.8])
@pytest.mark.parametrize('flip', [False, True])
def test_filtered_lrelu_is_bias_up_activate_clamp_down(clamp, flip, device):
    up, down = filters(4, device=device), filters(3, 2, device=device)
    x, bias = draw(1, 2, 3, 3, device=device), draw(2, device=device, seed=2)
    options = dict(up=2, down=3, padding=[3, 2, 2, 3], slope=0.3, gain=1.5, clamp=clamp)

    def op(x, bias):
        return mmcv.ops.filtered_lrelu(x, up, down, bias, flip_filter=flip, **options)

    large = resample(
        x + per_channel(bias, x), up, up=(2, 2), padding=(3, 2, 2, 3), flip=flip, gain=4
    )
    bound = math.inf if clamp is None else clamp
    active = (leaky(large, 0.3) * 1.5).clamp(-bound, bound)
    expected = resample(active, down, down=(3, 3), flip=flip)
    torch.testing.assert_close(op(x, bias), expected, rtol=1e-6, atol=1e-6)
    assert gradcheck(op, (x, bias))
    assert gradgradcheck(op, (x, bias))


@both_devices
def test_conv2d_gradfix_is_a_convolution_with_two_derivatives(device):
    x, weight = draw(1, 2, 4, 3, device=device), draw(2, 2, 2, 3, device=device, seed=2)

    def op(x, weight):
        return conv2d_gradfix.conv2d(x, weight, padding=1)

    torch.testing.assert_close(op(x, weight), convolved(x, weight, 1))
    assert gradcheck(op, (x, weight))
    assert gradgradcheck(op, (x, weight))


@both_devices
def test_conv_transpose2d_is_its_transpose_with_two_derivatives(device):
    x, weight = draw(1, 2, 3, 2, device=device), draw(2, 2, 3, 2, device=device, seed=2)

    def op(x, weight):
        return conv2d_gradfix.conv_transpose2d(x, weight, stride=2)

    torch.testing.assert_close(op(x, weight), transposed(x, weight, 2))
    assert gradcheck(op, (x, weight))
    assert gradgradcheck(op, (x, weight))


def upsampling():
    from mmagic.models.editors.stylegan2.stylegan2_modules import ModulatedStyleConv

    layer = ModulatedStyleConv(2, 2, 3, style_channels=2, upsample=True)
    return layer, lambda x, style: layer(x, style, noise=x.new_ones(1, 1, 6, 6))


def downsampling():
    from mmagic.models.editors.stylegan2.stylegan2_modules import ModulatedConv2d

    layer = ModulatedConv2d(2, 2, 3, style_channels=2, downsample=True)
    return layer, layer


@both_devices
@pytest.mark.parametrize('build', [upsampling, downsampling])
def test_a_layer_of_stylegan2_in_float64_has_two_derivatives(build, device):
    torch.manual_seed(0)
    layer, call = build()
    layer.to(device, torch.float64)
    x, style = draw(1, 2, 3, 3, device=device), draw(1, 2, device=device, seed=2)
    assert call(x, style).dtype == torch.float64
    assert gradcheck(call, (x, style))
    assert gradgradcheck(call, (x, style))
