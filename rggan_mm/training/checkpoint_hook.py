"""MMEngine's CheckpointHook, which here never leaves a run without a checkpoint."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from rggan_mm.close_names import did_you_mean
from rggan_mm.errors import ConfigError

from .checkpoint_saving import saved_whole

_POINTER = 'last_checkpoint'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """Removes old checkpoints when the new one is there; takes the same arguments.

    MMEngine's hook makes room before it saves: a process that dies in between leaves
    nothing where ``max_keep_ckpts`` is 1. A run needs room for one checkpoint more here.
    ``last_checkpoint``, which MMEngine rewrites in place, appears whole too. And a resumed
    run knows its last checkpoint: it saves itself beside a new best one, as a run that was
    not stopped does.

    :class:`SafeRunner` takes it for each CheckpointHook of a config.

    Raises:
        ConfigError: An unknown argument, or a ``filename_tmpl`` that takes no number, which
            MMEngine's hook finds at the first save.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = inspect.signature(Runner.save_checkpoint).parameters
        for name, value in self.args.items():  # what MMEngine's hook hands on with each save
            if name not in known:
                raise ConfigError(
                    f'unknown argument {name}={value!r}'
                    f'{did_you_mean(name, inspect.signature(CheckpointHook).parameters)}'
                )
        _check_template(self.filename_tmpl)

    def before_train(self, runner: Runner) -> None:
        """Looks up the last checkpoint of a resumed run."""
        super().before_train(runner)
        if self.last_ckpt is None:
            self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """MMEngine's method in another order: save, point to the file, remove the oldest.

        It is written anew because MMEngine's opens ``last_checkpoint`` itself.
        """
        oldest = self._next_to_keep(runner, step) if self.max_keep_ckpts > 0 else None
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        with saved_whole(Path(runner.work_dir) / _POINTER) as temporary:
            temporary.write_text(self.last_ckpt)
        if oldest not in (None, self.last_ckpt):
            _remove(self.file_backend, oldest)

    def _next_to_keep(self, runner: Runner, step: int) -> str | None:
        """Counts a checkpoint among those that are kept; the path of one that is too many."""
        if self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step:  # saved again, beside a best one
            return None
        too_many = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        oldest = self.keep_ckpt_ids.popleft() if too_many else None
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        if oldest is None:
            return None
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(oldest))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """MMEngine's method, with the removal of the old best file put off to its end."""
        backend = getattr(self, 'file_backend', None)
        if backend is None:  # a run that only validates has none
            super()._save_best_checkpoint(runner, metrics)
            return
        self.file_backend = later = _RemovingLater(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        for path in later.noted.keys() - self._best_files():  # it may have got the old name
            later.noted[path](path)

    def _best_files(self) -> set[str | None]:
        several = getattr(self, 'best_ckpt_path_dict', {}).values()
        return {getattr(self, 'best_ckpt_path', None), *several}


class _RemovingLater:
    """A file backend that notes what to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.noted: dict[str, Callable[[str], None]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.noted[path] = self._backend.remove

    def rmtree(self, path: str) -> None:
        self.noted[path] = self._backend.rmtree


def _check_template(template: str) -> None:
    try:
        template.format(0)
    except (ValueError, LookupError) as error:
        raise ConfigError(
            f'filename_tmpl={template!r} takes no number ({error}); right is one such as '
            "'iter_{}.pth'"
        ) from None


def _remove(backend: Any, path: str) -> None:
    """Removes a checkpoint: a file, or a folder of shards."""
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):
        backend.rmtree(path)
