"""PGGAN's data change one batch too late."""

from functools import wraps
from importlib.util import find_spec
from itertools import chain, repeat
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator

from rggan_mm.compat.outcome import Outcome

_NAME = 'pggan-data'
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


def _start(hook: Any, runner: Runner) -> None:
    """Go over to the data of the model's scale ahead of the first batch."""
    model, loop = _model(runner), runner.train_loop
    # By way of the first scale, as in a run that grew: the data set takes itself to be at
    # the size of its smallest images, and would not go over to that.
    for scale in (model.scales[0][0], int(model._next_scale_int)):
        _change(hook, runner, scale)
    if runner.iter == 0:
        runner.message_hub.update_info(_START, 0)
    elif isinstance(loop, IterBasedTrainLoop):
        # For runs without ExactResumeHook, which puts an iterator of its own in this place.
        # MMEngine is about to drop a batch for each iteration that was trained. Those ahead
        # of the start came from the data of smaller scales.
        earlier = runner.message_hub.get_info(_START, 0)
        loop.dataloader_iterator = chain(repeat(None, earlier), loop.dataloader_iterator)


def _follow(hook: Any, runner: Runner, iteration: int) -> None:
    """Go over to the data of a scale that the model has just announced."""
    if _change(hook, runner, int(_model(runner)._next_scale_int)):
        runner.message_hub.update_info(_START, iteration + 1)


def fetch_growing_data() -> Outcome:
    """Let PGGAN and StyleGAN1 have images of the scale that they train at.

    Symptom: ``RuntimeError: The scale of real image ... is smaller than
    current scale`` when the model grows past the images of one of several
    ``data_roots``, or resumes there; the first batch of a scale, and of a
    resumed run, has the size set for another scale; a resumed run sees other
    images than one that went on. Cause: ``PGGANFetchDataHook`` changes the
    data loader in ``before_train_iter``, when the batch has been fetched. Here
    it does so before training and after each iteration as well. Applies to
    mmagic up to 1.2.0.

    Returns:
        The outcome.
    """
    if find_spec('mmagic.engine.hooks.pggan_fetch_data_hook') is None:
        return Outcome(_NAME, False, 'this mmagic has no PGGANFetchDataHook')
    from mmagic.engine.hooks import PGGANFetchDataHook

    if PGGANFetchDataHook.after_train_iter is not Hook.after_train_iter:
        return Outcome(_NAME, False, 'the data change ahead of the batch')

    @wraps(PGGANFetchDataHook.before_train)
    def before_train(self: Any, runner: Runner) -> None:
        _start(self, runner)

    @wraps(PGGANFetchDataHook.after_train_iter)
    def after_train_iter(
        self: Any, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        _follow(self, runner, batch_idx)

    PGGANFetchDataHook.before_train = before_train
    PGGANFetchDataHook.after_train_iter = after_train_iter
    return Outcome(
        _NAME, True, "PGGANFetchDataHook changes the data ahead of a scale's first batch"
    )
