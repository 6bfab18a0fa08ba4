"""Mixed precision without a GPU, which MMEngine refuses and PyTorch can do."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import amp

from rggan_mm.compat.outcome import Outcome
from rggan_mm.errors import ConfigError

_NAME = 'amp-cpu'


def allow_mixed_precision_on_cpu() -> Outcome:
    """Let AmpOptimWrapper train where there is no GPU.

    Symptom: ``AssertionError: ``AmpOptimizerWrapper`` is only available training on gpu,
    npu, mlu or musa``, and for float16 ``In CPU autocast, only support torch.bfloat16``.
    Cause: MMEngine asks for a GPU, takes its gradient scaler from ``torch.cuda`` and
    knows the CPU of PyTorch before 2.3. Applies to MMEngine up to 0.10.7. Nothing
    changes where MMEngine trains on another device.

    Without a ``dtype`` the CPU computes in bfloat16. Before PyTorch 2.3 there is neither
    float16 nor a gradient scaler for it: float16 is refused with one line, and bfloat16,
    which has the range of float32, trains without a loss scale.

    Returns:
        The outcome.
    """
    if get_device() != 'cpu':
        return Outcome(_NAME, False, f'MMEngine trains on {get_device()}')
    amp_optimizer_wrapper.is_cuda_available = lambda: True
    amp_optimizer_wrapper.GradScaler = cpu_scaler
    amp.autocast = _with_float16(amp.autocast)
    return Outcome(_NAME, True, 'AmpOptimWrapper trains on the CPU')


def takes_float16() -> bool:
    """Whether PyTorch has float16 autocast and a gradient scaler for the CPU."""
    return hasattr(torch.amp, 'GradScaler')


def cpu_scaler(**settings: Any) -> Any:
    """A gradient scaler for the CPU; one that is switched off where PyTorch has none.

    Args:
        **settings: As for PyTorch's GradScaler.
    """
    if takes_float16():
        return torch.amp.GradScaler('cpu', **settings)
    return torch.cuda.amp.GradScaler(**{**settings, 'enabled': False})


def _with_float16(
    autocast: Callable[..., AbstractContextManager],
) -> Callable[..., AbstractContextManager]:
    """Wrap MMEngine's autocast, which takes bfloat16 alone on the CPU."""

    @wraps(autocast)
    @contextmanager
    def autocast_on_cpu(
        device_type: str | None = None,
        dtype: torch.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> Iterator[None]:
        half = dtype == torch.float16 and (device_type or 'cpu') == 'cpu'
        if half and not takes_float16():
            raise ConfigError(
                f"dtype='float16': PyTorch {torch.__version__} has it on a GPU only; "
                "on the CPU take 'bfloat16'"
            )
        settings = {'enabled': enabled, 'cache_enabled': cache_enabled}
        context = torch.autocast('cpu', dtype=dtype, **settings) if half else None
        with context or autocast(device_type, dtype, **settings):
            yield

    return autocast_on_cpu
