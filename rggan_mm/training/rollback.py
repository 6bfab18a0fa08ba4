"""Takes a training run back to its last checkpoint, within the same process."""

import os.path

from mmengine import runner as mmengine_runner
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError

from .exact_resume import ExactResumeHook


def last_checkpoint(runner: Runner) -> str | None:
    """The newest checkpoint of this run that can be read.

    Files that an earlier run left in the work dir do not count.

    Args:
        runner: The runner, training.

    Returns:
        Its path, the same on all processes; None when there is none.
    """
    if not any(hook.last_ckpt for hook in _checkpoint_hooks(runner)):
        if not runner._resume:
            return None
        if runner._load_from:
            return runner._load_from
    try:
        return mmengine_runner.find_latest_checkpoint(runner.work_dir)
    except ConfigError:  # there are only broken ones
        return None


def go_back(runner: Runner, checkpoint: str) -> None:
    """Restores a run from a checkpoint; its train loop is then to be started anew.

    Args:
        runner: The runner, its train loop left by an exception.
        checkpoint: A checkpoint of this run.
    """
    given = runner._resume, runner._load_from
    # As an automatic resume, so that hooks restore their state and find their files.
    runner._resume, runner._load_from = True, None
    try:
        runner.resume(checkpoint)
    finally:
        runner._resume, runner._load_from = given
    # Gradients that were being accumulated.
    runner.model.zero_grad(set_to_none=True)
    loop = runner.train_loop
    runner.optim_wrapper.initialize_count_status(runner.model, loop.iter, loop.max_iters)
    _undo_folder_names(runner)


def branch_off(runner: Runner, times: int) -> None:
    """Lets ExactResumeHook, which seeds each iteration, take other random numbers.

    Without that hook nothing takes the random streams back in the first place.

    Args:
        runner: The runner, taken back.
        times: How often it has gone back; no two parts of a run have the same numbers.
    """
    for hook in runner.hooks:
        if isinstance(hook, ExactResumeHook):
            hook.branch = times


def _checkpoint_hooks(runner: Runner) -> list[CheckpointHook]:
    return [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]


def _undo_folder_names(runner: Runner) -> None:
    """CheckpointHook appends the run's name to ``out_dir`` at each start of the loop."""
    for hook in _checkpoint_hooks(runner):
        if hook.out_dir != runner.work_dir:
            hook.out_dir = os.path.dirname(hook.out_dir)
