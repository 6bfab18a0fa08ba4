"""Automatic mixed precision for any GAN config: what ``--amp`` changes in it, and on the CPU."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from rggan_mm.errors import ConfigError

DTYPES = {'bf16': 'bfloat16', 'fp16': 'float16'}
# On these MMEngine has mixed precision; on the CPU SafeAmpOptimWrapper adds it.
_DEVICES = ('cpu', 'cuda', 'npu', 'mlu', 'musa')
# Blocks, counted from the largest images, as in MMagic's StyleGAN2 configs with fp16.
_FP16_SCALES = 4
_PLAIN = ('OptimWrapper', OptimWrapper)
_MIXED = ('AmpOptimWrapper', 'mmengine.AmpOptimWrapper', AmpOptimWrapper)
_SAFE = 'SafeAmpOptimWrapper'


@OPTIM_WRAPPERS.register_module()
class SafeAmpOptimWrapper(AmpOptimWrapper):
    """MMEngine's AmpOptimWrapper, on the CPU too.

    A run that had no loss scale resumes with a new one where this one has a scale. Without
    a ``dtype`` the CPU computes in bfloat16. Before PyTorch 2.3 the CPU has neither float16
    nor a gradient scaler: bfloat16, which has the range of float32, then trains without a
    loss scale.

    Args:
        loss_scale: 'dynamic' (default), a number, or the arguments of PyTorch's GradScaler.
        dtype: Of autocast, such as 'float16'. Defaults to the device's own.
        **kwargs: As for MMEngine's AmpOptimWrapper.

    Raises:
        ConfigError: float16 on a CPU whose PyTorch does not have it.
        TypeError: ``loss_scale`` is none of these.
    """

    def __init__(
        self, loss_scale: Any = 'dynamic', dtype: str | torch.dtype | None = None, **kwargs: Any
    ) -> None:
        if type(loss_scale) is int:
            loss_scale = float(loss_scale)
        if get_device() != 'cpu':
            super().__init__(loss_scale, dtype, **kwargs)
            return
        kwargs.pop('use_fsdp', None)
        OptimWrapper.__init__(self, **kwargs)  # AmpOptimWrapper's refuses the CPU
        self._scale_update_param = loss_scale if isinstance(loss_scale, float) else None
        self.loss_scaler = _cpu_scaler(_scaler_settings(loss_scale))
        self.cast_dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
        if self.cast_dtype == torch.float16 and not takes_float16():
            raise ConfigError(
                f"dtype='float16': PyTorch {torch.__version__} has it on a GPU only; "
                "on the CPU take 'bfloat16'"
            )

    def load_state_dict(self, state_dict: dict) -> None:
        """Takes back the optimiser's state, and the scale where one was saved."""
        if state_dict.get('loss_scaler') == {}:
            state_dict.pop('loss_scaler')
        super().load_state_dict(state_dict)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Computes in half precision inside the block; see MMEngine's OptimWrapper."""
        if get_device() != 'cpu':
            with super().optim_context(model):
                yield
            return
        dtype = self.cast_dtype or torch.bfloat16
        with OptimWrapper.optim_context(self, model), torch.autocast('cpu', dtype=dtype):
            yield


def safe_wrappers(optim_wrapper: Any) -> Any:
    """Puts SafeAmpOptimWrapper where a config of optimisers names AmpOptimWrapper.

    Args:
        optim_wrapper: The config's; left as it is.

    Returns:
        A copy, or the object itself where it is no config.
    """
    if not isinstance(optim_wrapper, dict):
        return optim_wrapper
    made = ConfigDict({name: safe_wrappers(value) for name, value in optim_wrapper.items()})
    if made.get('type') in _MIXED:
        made.type = _SAFE
    return made


def takes_float16() -> bool:
    """Whether PyTorch has float16 autocast and a gradient scaler for the CPU."""
    return hasattr(torch.amp, 'GradScaler')


def use_mixed_precision(config: Config, choice: str | None = None) -> None:
    """Gives every optimiser of a config automatic mixed precision.

    Layers compute in half precision under autocast; weights, thresholds, masks and
    optimisers stay in float32. float16 trains with a dynamic loss scale, bfloat16, which
    has the range of float32, without one. A dtype or loss scale that an AmpOptimWrapper of
    the config names already stays. StyleGAN2's networks, which choose their own blocks,
    get ``num_fp16_scales=4`` unless the config chooses.

    Args:
        config: A training config, changed in place. Entries of ``optim_wrapper`` need
            not name a type.
        choice: 'bf16' or 'fp16'. None (default): float16 on a GPU, bfloat16 on the CPU.

    Raises:
        ConfigError: The device or PyTorch lacks the precision, an optimiser is wrapped in
            something else, or the model cannot train in it.
    """
    device = get_device()
    _check(choice, device)
    _choose_blocks(config.model, choice, device)
    default = choice or ('bf16' if device == 'cpu' else 'fp16')
    for wrapper in _entries(config.optim_wrapper):
        _mix(wrapper, DTYPES[default], replace=choice is not None)
    print_log(f'--amp: {DTYPES[default]} autocast on {device}', logger='current')


def _check(choice: str | None, device: str) -> None:
    if choice is not None and choice not in DTYPES:
        raise ConfigError(f'--amp {choice}: must be one of {", ".join(DTYPES)}')
    if device not in _DEVICES:
        raise ConfigError(f'--amp: {device} has no mixed precision; take a GPU or the CPU')
    if choice == 'fp16' and device == 'cpu' and not takes_float16():
        raise ConfigError(
            f'--amp fp16: PyTorch {torch.__version__} has float16 on a GPU only; take --amp bf16'
        )
    if choice == 'bf16' and device == 'cuda' and not torch.cuda.is_bf16_supported():
        raise ConfigError('--amp bf16: this GPU has no bfloat16; take --amp fp16')


def _choose_blocks(model: Mapping, choice: str | None, device: str) -> None:
    """StyleGAN2's blocks switch autocast on and off themselves, and know float16 alone."""
    if model.get('type') == 'MSPIEStyleGAN2':
        raise ConfigError(
            '--amp: MSPIEStyleGAN2 mixes dtypes inside its convolutions; train it without --amp'
        )
    own = [network for network in model.values() if _chooses_itself(network)]
    if own and choice == 'bf16' and device != 'cpu':
        raise ConfigError(
            f'--amp bf16: {own[0]["type"]} computes in float16 alone; take --amp fp16'
        )
    for network in own:
        if not network.get('fp16_enabled'):
            network.setdefault('num_fp16_scales', _FP16_SCALES)


def _chooses_itself(network: object) -> bool:
    from mmagic.registry import MODELS

    kind = network.get('type') if isinstance(network, dict) else None
    built = MODELS.get(kind) if isinstance(kind, str) else kind
    return built is not None and 'num_fp16_scales' in inspect.signature(built).parameters


def _entries(optim_wrapper: ConfigDict) -> Iterator[ConfigDict]:
    """The wrappers of several optimisers, or the only one."""
    several = [value for value in optim_wrapper.values() if isinstance(value, dict)]
    yield from [value for value in several if 'optimizer' in value] or [optim_wrapper]


def _mix(wrapper: ConfigDict, dtype: str, replace: bool) -> None:
    kind = wrapper.get('type', 'OptimWrapper')
    if kind not in (*_PLAIN, *_MIXED, _SAFE):
        raise ConfigError(
            f'--amp: an optimizer is wrapped in {kind}, which --amp cannot change; '
            "take OptimWrapper, or set the wrapper's own precision and leave --amp out"
        )
    wrapper.type = _SAFE
    if replace or wrapper.get('dtype') is None:
        wrapper.dtype = dtype
    scaled = wrapper.dtype in ('float16', torch.float16)
    wrapper.setdefault('loss_scale', 'dynamic' if scaled else dict(enabled=False))


def _cpu_scaler(settings: dict) -> Any:
    """A gradient scaler for the CPU; one that is switched off where PyTorch has none."""
    if takes_float16():
        return torch.amp.GradScaler('cpu', **settings)
    return torch.cuda.amp.GradScaler(**{**settings, 'enabled': False})


def _scaler_settings(loss_scale: Any) -> dict:
    if isinstance(loss_scale, dict):
        return loss_scale
    if isinstance(loss_scale, float):
        return {'init_scale': loss_scale}
    if loss_scale == 'dynamic':
        return {}
    raise TypeError(f'loss_scale must be a number, dict, or "dynamic", but got {loss_scale}')
