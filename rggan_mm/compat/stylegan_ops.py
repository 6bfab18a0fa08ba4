"""mmcv-lite has no plain form of StyleGAN's operators for a GPU."""

from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from rggan_mm.compat.outcome import Outcome

_NAME = 'stylegan-ops'


def _module(name: str) -> Any:
    """A module of mmcv.ops; some share their name with a function there."""
    return import_module(f'mmcv.ops.{name}')


def _applying(plain: Callable[..., Tensor]) -> Callable[..., SimpleNamespace]:
    """Look like mmcv's makers of autograd functions: options first, tensors on ``apply``."""

    def make(**options: Any) -> SimpleNamespace:
        return SimpleNamespace(apply=partial(plain, **options))

    return make


def _with_float_filter(upfirdn2d: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Take a filter of any precision, as networks in float16 and float64 have it."""

    @wraps(upfirdn2d)
    def plain(input: Tensor, filter: Tensor | None, **options: Any) -> Tensor:
        return upfirdn2d(input, None if filter is None else filter.float(), **options)

    return plain


def _plain_filtered_lrelu(
    input: Tensor,
    filter_up: Tensor | None,
    filter_down: Tensor | None,
    bias: Tensor | None,
    *signs: Any,
    **options: Any,
) -> Tensor:
    """Leave out the signs that the compiled operator keeps for its backward pass."""
    reference = _module('filtered_lrelu')._filtered_lrelu_ref
    return reference(input, filter_up, filter_down, bias, **options)


def use_plain_stylegan_ops() -> Outcome:
    """Let the StyleGAN family run on a GPU without compiled operators.

    Symptom: with mmcv-lite, PGGAN's successors (StyleGAN1, 2, 3, ADA, MSPIE)
    work on the CPU and fail on a GPU, in ``fused_bias_leakyrelu``,
    ``upfirdn2d``, ``bias_act`` or ``filtered_lrelu``; in float16 or float64
    ``upfirdn2d`` fails on the CPU too. Cause: mmcv takes the compiled operator
    for every GPU tensor and the plain PyTorch form beside it for the others;
    the plain ``upfirdn2d`` asks for a float32 filter. Here the plain forms take
    the place of the compiled ones inside mmcv, where every caller meets them,
    and PyTorch differentiates them as often as a penalty needs.
    ``conv_transpose2d`` of ``conv2d_gradfix`` goes to PyTorch's own, which
    has second derivatives. Operators without a plain form still raise one clear
    error when called. Applies to mmcv-lite 2.0 and 2.1.

    Returns:
        The outcome.
    """
    if find_spec('mmcv._ext') is not None:
        return Outcome(_NAME, False, 'mmcv has its compiled operators')
    fused, upfirdn2d = _module('fused_bias_leakyrelu'), _module('upfirdn2d')
    bias_act, filtered = _module('bias_act'), _module('filtered_lrelu')
    fused.FusedBiasLeakyReLUFunction = SimpleNamespace(apply=fused.bias_leakyrelu_ref)
    upfirdn2d._upfirdn2d_ref = _with_float_filter(upfirdn2d._upfirdn2d_ref)
    upfirdn2d._upfirdn2d_cuda = _applying(upfirdn2d._upfirdn2d_ref)
    bias_act._bias_act_cuda = _applying(bias_act._bias_act_ref)
    filtered._filtered_lrelu_cuda = _applying(_plain_filtered_lrelu)
    _module('conv2d_gradfix').enabled = False
    return Outcome(_NAME, True, 'mmcv-lite: StyleGAN runs on plain PyTorch operators everywhere')
