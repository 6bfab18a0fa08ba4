"""PGGAN's data change one batch too late."""

from collections.abc import Callable
from functools import wraps
from itertools import chain, repeat
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator

from rggan_mm.compat.repair import Repair

_START = 'pggan_data_start'  # iteration whose batch was the first of its data loader


def _model(runner: Runner) -> Any:
    """The PGGAN outside a distributed wrapper."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _change(hook: Any, runner: Runner, scale: int) -> bool:
    """Go over to the data of a scale; False if they are in use already."""
    loop = runner.train_loop
    loader = hook.update_dataloader(loop.dataloader, scale)
    if loader is None:
        return False
    loop.dataloader = loader
    if isinstance(loop, IterBasedTrainLoop):
        loop.dataloader_iterator = _InfiniteDataloaderIterator(loader)
    return True


def _changing_at_start(original: Callable[..., None]) -> Callable[..., None]:
    """Go over to the data of the model's scale ahead of the first batch."""

    @wraps(original)
    def before_train(self: Any, runner: Runner) -> None:
        model, loop = _model(runner), runner.train_loop
        # By way of the first scale, as in a run that grew: the data set takes itself to be at
        # the size of its smallest images, and would not go over to that.
        for scale in (model.scales[0][0], int(model._next_scale_int)):
            _change(self, runner, scale)
        if runner.iter == 0:
            runner.message_hub.update_info(_START, 0)
        elif isinstance(loop, IterBasedTrainLoop):
            # For runs without ExactResumeHook, which puts an iterator of its own in this place.
            # MMEngine is about to drop a batch for each iteration that was trained. Those ahead
            # of the start came from the data of smaller scales.
            earlier = runner.message_hub.get_info(_START, 0)
            loop.dataloader_iterator = chain(repeat(None, earlier), loop.dataloader_iterator)

    return before_train


def _changing_after_iter(original: Callable[..., None]) -> Callable[..., None]:
    """Go over to the data of a scale that the model has just announced."""

    @wraps(original)
    def after_train_iter(
        self: Any, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if _change(self, runner, int(_model(runner)._next_scale_int)):
            runner.message_hub.update_info(_START, batch_idx + 1)

    return after_train_iter


def changes_too_late() -> bool:
    """Whether MMagic's hook does nothing after an iteration."""
    from mmagic.engine.hooks import PGGANFetchDataHook

    return PGGANFetchDataHook.after_train_iter is Hook.after_train_iter


_HOOK = 'mmagic.engine.hooks:PGGANFetchDataHook'

REPAIRS = (
    Repair(
        name='pggan-data',
        symptom='PGGAN and StyleGAN1: "The scale of real image ... is smaller than current scale" '
        'past the images of one of several data_roots; a first batch of the scale before.',
        # The hook changes the loader in before_train_iter, when the batch has been fetched.
        changes={
            f'{_HOOK}.before_train': _changing_at_start,
            f'{_HOOK}.after_train_iter': _changing_after_iter,
        },
        needed=changes_too_late,
    ),
)
