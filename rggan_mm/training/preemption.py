"""Pre-emption: a run that is told to end saves itself first."""

import threading
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from mmengine.dist import barrier, get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError

from .batches import outlives_signals
from .divergence import check_divergence
from .hook_base import CheckedHook, is_training
from .pending_gradients import is_accumulating
from .stop_signals import Agreement, StopSignals


@HOOKS.register_module()
class PreemptionHook(CheckedHook):
    """Saves a checkpoint and ends the process when it gets SIGTERM or SIGINT.

    The iteration is finished first, and an accumulation of gradients; with several
    processes one iteration more, so that all stop at the same. The process ends with
    status 0 (``SystemExit``) after a line that says how to go on. A validation is not
    waited for, where one process trains: it is made up for on resume
    (:class:`ExactResumeHook`).

    Raises:
        ConfigError: Unknown argument; when training starts: nothing that saves
            checkpoints by iteration.
    """

    # Last: the iteration is over, and saved where that was due.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.signals = StopSignals()
        self.agreement: Agreement | None = None
        self._saver: CheckpointHook | None = None
        self._loop: BaseLoop | None = None
        self._ending = False

    def before_run(self, runner: Runner) -> None:
        """Lets signals be watched for while the train loop runs, however it ends."""
        if not is_training(runner):
            return
        self._saver = _find_saver(runner)
        loop = runner.train_loop
        if self._loop is not loop:
            self._loop = loop
            loop.run = partial(self._watched, runner, loop.run)

    def before_train(self, runner: Runner) -> None:
        """Lets workers of the validation outlive signals, as those of the training do."""
        loop = runner.val_loop
        for loader in getattr(loop, 'dataloaders', None) or [getattr(loop, 'dataloader', None)]:
            if isinstance(loader, DataLoader):
                outlives_signals(loader)

    def after_train(self, runner: Runner) -> None:
        """Ends the exchange between processes."""
        if self.agreement is not None:
            self.agreement.finish()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Ends the run when it was asked to."""
        if self.agreement is None:  # iterations without a run of the loop: a benchmark
            return
        if self.agreement.reached(self.signals.received is not None):
            self._ending = True
        if self._ending and not is_accumulating(runner):
            self._end(runner, runner.iter + 1)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Ends the run within a validation, where no other process takes part in it."""
        if not self.signals.received or get_world_size() > 1 or is_accumulating(runner):
            return
        self._end(runner, runner.iter)

    def _end(self, runner: Runner, iteration: int) -> NoReturn:
        # Workers that the same signal ends would interrupt the saving.
        getattr(runner.train_loop.dataloader_iterator, 'close', lambda: None)()
        self.agreement.finish()
        check_divergence(runner)
        path = self._save(runner, iteration)
        barrier()
        runner.logger.info(
            f'PreemptionHook: {self.signals.received or "another process"} after iteration '
            f'{iteration}; saved as {path}; the same command with --resume goes on from there'
        )
        raise SystemExit(0)

    def _watched(self, runner: Runner, run: Callable[[], object]) -> object:
        self.signals, self.agreement, self._ending = StopSignals(), Agreement(), False
        if threading.current_thread() is threading.main_thread():
            self.signals.watch()
        else:
            runner.logger.warning('PreemptionHook: not in the main thread, which gets the signals')
        try:
            return run()
        finally:
            self.signals.release()

    def _save(self, runner: Runner, iteration: int) -> str:
        saver = self._saver
        name = saver.file_backend.join_path(saver.out_dir, saver.filename_tmpl.format(iteration))
        if saver.last_ckpt != name:
            meta = {'epoch': runner.epoch, 'iter': iteration}
            saver._save_checkpoint_with_step(runner, iteration, meta)
        return name


def _find_saver(runner: Runner) -> CheckpointHook:
    savers = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    if not savers or savers[0].by_epoch or not isinstance(runner.train_loop, IterBasedTrainLoop):
        raise ConfigError(
            'PreemptionHook: nothing saves checkpoints by iteration; set '
            'default_hooks.checkpoint with by_epoch=False and train_cfg.by_epoch=False, or '
            'leave the hook out'
        )
    return savers[0]
