"""Mixed precision: a lost loss scaler, an integer loss scale, a resume without a scale."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from mmengine.optim import AmpOptimWrapper

from rggan_mm.compat.outcome import Outcome


def keep_loss_scaler() -> Outcome:
    """Let conditional GANs train their discriminator in mixed precision.

    Symptom: ``AttributeError: 'NoneType' object has no attribute 'scale'`` in the
    first discriminator step of a conditional GAN with AmpOptimWrapper. Cause:
    ``BaseConditionalGAN.train_discriminator`` writes ``setattr(optimizer_wrapper,
    'loss_scaler', None)`` where the other methods read with ``getattr``. Applies
    to mmagic up to 1.2.0; SAGAN, SNGAN-Proj and BigGAN have methods of their own.

    Returns:
        The outcome.
    """
    from mmagic.models.base_models import base_conditional_gan

    method = base_conditional_gan.BaseConditionalGAN.train_discriminator
    if "setattr(optimizer_wrapper, 'loss_scaler'" not in inspect.getsource(method):
        return Outcome('amp-loss-scaler', False, 'BaseConditionalGAN reads the loss scaler')
    # The only use of setattr in that module; both functions take the same three arguments.
    base_conditional_gan.setattr = getattr
    return Outcome('amp-loss-scaler', True, 'BaseConditionalGAN reads the scaler it overwrote')


def _with_float_scale(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap AmpOptimWrapper's constructor."""

    @wraps(init)
    def init_with_float_scale(
        self: AmpOptimWrapper, loss_scale: Any = 'dynamic', *args: Any, **kwargs: Any
    ) -> None:
        if isinstance(loss_scale, int) and not isinstance(loss_scale, bool):
            loss_scale = float(loss_scale)
        init(self, loss_scale, *args, **kwargs)

    return init_with_float_scale


def accept_integer_loss_scale() -> Outcome:
    """Let a config say ``loss_scale=512``.

    Symptom: ``TypeError: loss_scale must be of type float, dict, or "dynamic",
    but got 512`` from two of mmagic's StyleGAN2 fp16 configs. Cause:
    AmpOptimWrapper tests for ``float`` alone. Applies to MMEngine up to 0.10.7.

    Returns:
        The outcome.
    """
    # Asked of the source: on a machine without a GPU nothing can be constructed.
    if 'isinstance(loss_scale, float)' not in inspect.getsource(AmpOptimWrapper.__init__):
        return Outcome('amp-loss-scale', False, 'AmpOptimWrapper takes an integer loss scale')
    AmpOptimWrapper.__init__ = _with_float_scale(AmpOptimWrapper.__init__)
    return Outcome('amp-loss-scale', True, 'an integer loss_scale becomes a float')


def _without_empty_scale(load: Callable[..., None]) -> Callable[..., None]:
    """Wrap AmpOptimWrapper's load_state_dict."""

    @wraps(load)
    def load_without_empty_scale(self: AmpOptimWrapper, state_dict: dict) -> None:
        if state_dict.get('loss_scaler') == {}:
            state_dict.pop('loss_scaler')
        load(self, state_dict)

    return load_without_empty_scale


def resume_without_a_scale() -> Outcome:
    """Let a run in float16 go on from one that had no loss scale.

    Symptom: ``RuntimeError: The source state dict is empty, possibly because it was saved
    from a disabled instance of GradScaler`` when a run in bfloat16 goes on in float16.
    Cause: AmpOptimWrapper hands the empty state to a scaler that is switched on; it now
    starts its scale anew. Applies to MMEngine up to 0.10.7.

    Returns:
        The outcome.
    """
    source = inspect.getsource(AmpOptimWrapper.load_state_dict)
    if "if 'loss_scaler' in state_dict:" not in source:
        return Outcome('amp-resume', False, 'AmpOptimWrapper looks at the scale it loads')
    AmpOptimWrapper.load_state_dict = _without_empty_scale(AmpOptimWrapper.load_state_dict)
    return Outcome('amp-resume', True, 'a run without a loss scale resumes with one')
