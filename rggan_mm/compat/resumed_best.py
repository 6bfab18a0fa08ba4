"""A resumed run saves beside its best checkpoint what an uninterrupted one saves."""

from collections.abc import Callable
from functools import wraps

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from rggan_mm.compat.outcome import Outcome

_NAME = 'resumed-best'
_LAST = 'last_ckpt'


def _remembering(before_train: Callable[..., None]) -> Callable[..., None]:
    """Wrap the start of CheckpointHook."""

    @wraps(before_train)
    def before_train_with_last(self: CheckpointHook, runner: Runner) -> None:
        before_train(self, runner)
        if self.last_ckpt is None:
            self.last_ckpt = runner.message_hub.runtime_info.get(_LAST)

    return before_train_with_last


def remember_last_checkpoint() -> Outcome:
    """Let a resumed run know that it has a checkpoint.

    Symptom: where the first evaluations after a resume are the best so far, the run does
    not save itself beside the best checkpoint as an uninterrupted run does; its last
    checkpoint may then lack the best score. Cause: CheckpointHook saves again only if it
    has saved before, and forgets that it has. Applies to MMEngine up to 0.10.7.

    Returns:
        The outcome.
    """
    CheckpointHook.before_train = _remembering(CheckpointHook.before_train)
    return Outcome(_NAME, True, 'a resumed run saves itself beside the best as any other does')
