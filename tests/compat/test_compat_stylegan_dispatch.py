"""Which form of StyleGAN's operators a tensor on a GPU takes; no GPU is needed to see it."""

import importlib.util
from importlib import import_module

import mmcv.ops
import pytest
import torch

from rggan_mm.compat.shims import missing_ops_allowed
from rggan_mm.errors import ConfigError

needs_gap = pytest.mark.skipif(
    importlib.util.find_spec('mmcv._ext') is not None, reason='mmcv has its compiled operators'
)
conv2d_gradfix = import_module('mmcv.ops.conv2d_gradfix')

CALLS = {
    'upfirdn2d': lambda module, x, taps: module.upfirdn2d(x, taps, padding=1),
    'fused_bias_leakyrelu': lambda module, x, taps: module.fused_bias_leakyrelu(x, taps[0]),
    'bias_act': lambda module, x, taps: module.bias_act(x, taps[0].to(x.dtype)),
    'filtered_lrelu': lambda module, x, taps: module.filtered_lrelu(
        x, taps, taps, taps[0].to(x.dtype), padding=2
    ),
}


def stock_module(name):
    """A module of mmcv.ops as it was before the repair."""
    origin = importlib.util.find_spec(f'mmcv.ops.{name}').origin
    spec = importlib.util.spec_from_file_location(f'mmcv.ops.stock_{name}', origin)
    module = importlib.util.module_from_spec(spec)
    with missing_ops_allowed():
        spec.loader.exec_module(module)
    return module


class SaysGPU(torch.Tensor):
    """A tensor that is asked where it is, and answers as one on a GPU would."""

    is_cuda = True


class NamesGPU(SaysGPU):
    """One that names the device, too; nothing can be moved there without a GPU."""

    device = torch.device('cuda:0')


@pytest.fixture
def image():
    # In float32 filtered_lrelu asks for the stream of a real GPU first.
    return torch.randn(1, 3, 4, 4, dtype=torch.float64)


@pytest.fixture
def taps():
    return torch.randn(3, 3)


@needs_gap
@pytest.mark.parametrize('name', CALLS)
def test_without_the_repair_a_gpu_tensor_meets_the_compiled_operator(name, image, taps):
    on_gpu = image.as_subclass(NamesGPU if name == 'upfirdn2d' else SaysGPU)
    with pytest.raises(ConfigError, match=f'the compiled operator {name!r}|{name}_act_'):
        CALLS[name](stock_module(name), on_gpu, taps)


@needs_gap
@pytest.mark.parametrize('name', CALLS)
def test_a_gpu_tensor_takes_the_same_plain_form_as_any_other(name, image, taps):
    module = import_module(f'mmcv.ops.{name}')
    out = CALLS[name](module, image.as_subclass(NamesGPU), taps)
    assert isinstance(out, NamesGPU)
    assert torch.equal(out.as_subclass(torch.Tensor), CALLS[name](module, image, taps))


@needs_gap
def test_a_gpu_tensor_meets_no_function_of_gradfix(image):
    image = image.as_subclass(NamesGPU)
    assert not conv2d_gradfix._should_use_custom_op(image)
    assert stock_module('conv2d_gradfix')._should_use_custom_op(image)


@needs_gap
def test_without_the_repair_a_filter_in_float64_is_refused():
    with pytest.raises(AssertionError):
        stock_module('upfirdn2d').upfirdn2d(torch.ones(1, 1, 3, 3), torch.ones(2, 2).double())


@needs_gap
def test_every_caller_in_mmagic_meets_the_plain_forms():
    from mmagic.models.editors.stylegan1 import stylegan1_modules
    from mmagic.models.editors.stylegan2 import stylegan2_modules
    from mmagic.models.editors.stylegan3 import stylegan3_modules

    for module in (stylegan1_modules, stylegan2_modules):
        assert module.upfirdn2d is mmcv.ops.upfirdn2d
        assert module.fused_bias_leakyrelu is mmcv.ops.fused_bias_leakyrelu
    assert stylegan3_modules.bias_act is mmcv.ops.bias_act
    assert stylegan3_modules.filtered_lrelu is mmcv.ops.filtered_lrelu


@needs_gap
def test_an_operator_without_a_plain_form_says_so_when_called():
    boxes = torch.zeros(1, 4), torch.zeros(1)
    with pytest.raises(ConfigError, match=r"'nms'.*\[full\]"):
        mmcv.ops.nms(*boxes, 0.5)
