"""StyleGAN's operators of mmcv-lite in plain PyTorch."""

from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from rggan_mm.compat.repair import Repair
from rggan_mm.compat.shims import has_compiled_ops


def _plain(module: str, function: str) -> Callable[..., Tensor]:
    """A plain form in mmcv.ops; some modules there share their name with a function."""
    return getattr(import_module(f'mmcv.ops.{module}'), function)


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


def _filtered_lrelu(
    input: Tensor,
    filter_up: Tensor | None,
    filter_down: Tensor | None,
    bias: Tensor | None,
    *signs: Any,
    **options: Any,
) -> Tensor:
    """Leave out the signs that the compiled operator keeps for its backward pass."""
    reference = _plain('filtered_lrelu', '_filtered_lrelu_ref')
    return reference(input, filter_up, filter_down, bias, **options)


# mmcv takes the compiled operator for every GPU tensor and the plain PyTorch form beside it for
# the others; its plain upfirdn2d asks for a float32 filter. Here the plain forms take the place
# of the compiled ones inside mmcv, where every caller meets them, and PyTorch differentiates
# them as often as a penalty needs. conv_transpose2d of conv2d_gradfix goes to PyTorch's own,
# which has second derivatives. Operators without a plain form still raise one clear error when
# called. The filter's repair comes first: the next one takes what is there then.
_CHANGES = {
    'mmcv.ops.fused_bias_leakyrelu:FusedBiasLeakyReLUFunction': lambda compiled: SimpleNamespace(
        apply=_plain('fused_bias_leakyrelu', 'bias_leakyrelu_ref')
    ),
    'mmcv.ops.upfirdn2d:_upfirdn2d_ref': _with_float_filter,
    'mmcv.ops.upfirdn2d:_upfirdn2d_cuda': lambda compiled: _applying(
        _plain('upfirdn2d', '_upfirdn2d_ref')
    ),
    'mmcv.ops.bias_act:_bias_act_cuda': lambda compiled: _applying(
        _plain('bias_act', '_bias_act_ref')
    ),
    'mmcv.ops.filtered_lrelu:_filtered_lrelu_cuda': lambda compiled: _applying(_filtered_lrelu),
    'mmcv.ops.conv2d_gradfix:enabled': lambda enabled: False,
}

REPAIRS = (
    Repair(
        name='stylegan-ops',
        symptom='StyleGAN1 to 3 and MSPIE with mmcv-lite fail on a GPU in fused_bias_leakyrelu, '
        'upfirdn2d, bias_act or filtered_lrelu; in float16 or float64 upfirdn2d fails anywhere.',
        changes=_CHANGES,
        package='mmcv',
        last_version='2.1.0',
        needed=lambda: not has_compiled_ops(),
    ),
)
