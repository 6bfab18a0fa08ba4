"""CycleGAN and Pix2Pix train every process on its own."""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmengine.dist import all_reduce_params
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from rggan_mm.compat.outcome import Outcome

_NAME = 'cyclegan-processes'
_LAST_BROKEN = (1, 2, 0)
_MODELS = {'CycleGAN': 'mmagic.models.editors.cyclegan', 'Pix2Pix': 'mmagic.models.editors.pix2pix'}


def _average_gradients(wrapper: OptimWrapper) -> None:
    """Put the mean over all processes in place of this process's gradients."""
    groups = wrapper.optimizer.param_groups
    gradients = [p.grad for group in groups for p in group['params'] if p.grad is not None]
    # In buckets: a copy of every gradient at once would be as large as the network.
    all_reduce_params(gradients, bucket_size_mb=25, op='mean')


def _average_after_backward(wrapper: OptimWrapper) -> None:
    """Let an optimiser's wrapper average after each backward pass, from now on."""
    if 'backward' in vars(wrapper):
        return
    original = wrapper.backward

    @wraps(original)
    def backward(loss: Tensor, **kwargs: Any) -> None:
        last = wrapper.should_sync()  # of the passes that accumulate into one step
        original(loss, **kwargs)
        if last:
            _average_gradients(wrapper)

    wrapper.backward = backward


def _with_averages(train_step: Callable[..., dict]) -> Callable[..., dict]:
    """Wrap a model's training step."""

    @wraps(train_step)
    def averaged(self: Any, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        if is_model_wrapper(self.generators):
            for wrapper in optim_wrapper.values():
                _average_after_backward(wrapper)
        return train_step(self, data, optim_wrapper)

    return averaged


def average_cyclegan_gradients() -> Outcome:
    """Let the processes of CycleGAN and Pix2Pix train one model together.

    Symptom: weights differ between processes after the first step; the file of
    the first one is saved. Cause: both models take the networks out of
    DistributedDataParallel (``BaseTranslationModel.get_module``) and call them
    directly, so its reduction of gradients never starts. Here the gradients are
    averaged after the backward pass, before clipping and before a gradient
    scaler looks at them. Applies to mmagic up to 1.2.0.

    Returns:
        The outcome.
    """
    from mmagic.version import version_info

    if version_info > _LAST_BROKEN:
        return Outcome(_NAME, False, 'this mmagic is newer than the broken ones')
    found = {name: module for name, module in _MODELS.items() if find_spec(module) is not None}
    for name, module in found.items():
        model = getattr(import_module(module), name)
        model.train_step = _with_averages(model.train_step)
    return Outcome(_NAME, bool(found), f'gradients are averaged in {", ".join(found) or "nothing"}')
