"""Stops a training run that has diverged, or takes it back."""

import os.path
from collections.abc import Callable, Mapping
from functools import partial

from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.errors import ConfigError, DivergedError

from .checkpoint_search import find_latest_checkpoint, where_saved
from .deferred_losses import DeferredLossesHook
from .exact_resume import ExactResumeHook
from .finite import Divergence, LossWatch, agree, describe, not_finite, patience_of
from .hook_base import StatefulHook, is_training, log_interval


@HOOKS.register_module()
class DivergenceHook(StatefulHook):
    """Stops a run whose losses or weights are NaN or infinite.

    The message names losses, networks, the iteration and the last good checkpoint.
    Losses are looked at in each iteration, as MMEngine has read them for its log;
    weights, thresholds and averages at the logger's interval, before each checkpoint,
    before each validation and at the end, so that no checkpoint of a diverged run is
    saved. Several processes meet at these moments and stop together; a process alone
    stops at the first bad loss. With a loss scale (mixed precision) a bad loss is a
    skipped step, and only many in a row count.

    Args:
        rollback: How often the run may go back to its last checkpoint and on from there
            with other random numbers. Defaults to 0: it stops.

    Raises:
        ConfigError: ``rollback`` is no such number; when training starts: weights that
            are not finite.
        DivergedError: The run has diverged and may not, or cannot, go back.
    """

    # After whatever changes weights or reads losses, before CheckpointHook.
    priority = 'LOW'

    def __init__(self, rollback: int = 0) -> None:
        if type(rollback) is not int or rollback < 0:
            raise ConfigError(f'rollback={rollback!r} must be an integer >= 0')
        self.rollback = rollback
        self.rolled_back = 0
        self.watch = LossWatch()
        self._training = False
        self._finished = self._checked = 0  # iterations

    def before_run(self, runner: Runner) -> None:
        """Lets the train loop be started again."""
        loop = runner.train_loop if is_training(runner) else None
        if self.rollback and loop is not None and 'run' not in vars(loop):
            loop.run = partial(self._run, runner, loop.run)

    def before_train(self, runner: Runner) -> None:
        """Starts watching; the weights to start from must be finite."""
        bad = not_finite(runner.model)
        if bad:
            raise ConfigError(
                f'{describe(bad)}, before the first iteration; '
                'resume or load_from another checkpoint'
            )
        self.watch = LossWatch(patience_of(runner.optim_wrapper))
        self._training = True
        self._finished = self._checked = runner.iter

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Looks at the losses, and at the weights when it is time."""
        self._finished = runner.iter + 1
        self.watch.see(self._finished, _losses(runner, outputs))
        if self._is_time(runner):
            self.check(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Checks before an epoch's checkpoint is saved."""
        self.check(runner)

    def before_val(self, runner: Runner) -> None:
        """Checks before a validation."""
        if self._training:
            self.check(runner)

    def after_train(self, runner: Runner) -> None:
        """Checks at the end."""
        self.check(runner)
        self._training = False

    def check(self, runner: Runner) -> None:
        """Checks now; all processes call it together.

        Args:
            runner: The runner, training.

        Raises:
            DivergedError: A loss or a weight of any process is not finite.
        """
        if self._checked == self._finished:
            return
        self._checked = self._finished
        for hook in runner.hooks:
            if isinstance(hook, DeferredLossesHook):
                for iteration, losses in hook.take(runner):
                    self.watch.see(iteration, losses)
        found = agree(self._look(runner))
        if found is not None:
            raise DivergedError(str(found), self._advice(runner))

    def state_dict(self) -> dict:
        """How often the run has gone back."""
        return {'rolled_back': self.rolled_back}

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back the count; a rollback itself does not undo it."""
        self.rolled_back = max(self.rolled_back, state['rolled_back'])

    def _is_time(self, runner: Runner) -> bool:
        alone = get_world_size() == 1
        return (
            (alone and self.watch.found is not None)
            or self.every_n_train_iters(runner, log_interval(runner))
            or self.is_last_train_iter(runner)
            or _saves_now(runner)
        )

    def _look(self, runner: Runner) -> Divergence | None:
        weights = not_finite(runner.model)
        if self.watch.found is None and not weights:
            return None
        first, loss = self.watch.found or (self._finished, '')
        return Divergence(first, loss, weights)

    def _advice(self, runner: Runner) -> str:
        good = _last_checkpoint(runner) or 'none saved yet'
        again = f'a rollback above {self.rollback}'
        if self.rolled_back:
            again += f' ({self.rolled_back} done)'
        return f'last good checkpoint: {good}; try a lower lr or lam, or {again} of DivergenceHook'

    def _run(self, runner: Runner, run: Callable[[], object]) -> object:
        """The train loop's run, as often as it takes."""
        while True:
            try:
                return run()
            except DivergedError as error:
                good = _last_checkpoint(runner)
                if good is None or self.rolled_back >= self.rollback:
                    raise
                self.rolled_back += 1
                runner.logger.warning(
                    f'DivergenceHook: {error.what}; going back to {good} and on with other random '
                    f'numbers ({self.rolled_back} of {self.rollback} rollbacks)'
                )
            _go_back(runner, good)
            _branch_off(runner, self.rolled_back)


def check_divergence(runner: Runner) -> None:
    """For hooks that save or evaluate at moments of their own; all processes together.

    Args:
        runner: The runner, after DivergenceHook has seen the iteration.

    Raises:
        DivergedError: The run has a DivergenceHook and has diverged.
    """
    for hook in runner.hooks:
        if isinstance(hook, DivergenceHook):
            hook.check(runner)


def _losses(runner: Runner, outputs: Mapping | None) -> dict[str, float]:
    """An iteration's losses, as MMEngine has read them: reading waits for the device."""
    hub = runner.message_hub
    names = (name for name in outputs or {} if 'loss' in name)
    return {name: hub.get_scalar(f'train/{name}').current() for name in names}


def _saves_now(runner: Runner) -> bool:
    return any(
        not hook.by_epoch and hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        for hook in runner.hooks
        if isinstance(hook, CheckpointHook)
    )


def _last_checkpoint(runner: Runner) -> str | None:
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
        return find_latest_checkpoint(runner.work_dir, *where_saved(runner))
    except ConfigError:  # there are only broken ones
        return None


def _go_back(runner: Runner, checkpoint: str) -> None:
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


def _branch_off(runner: Runner, times: int) -> None:
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
