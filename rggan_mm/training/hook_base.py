"""What the hooks of this package share: checked arguments and saved state."""

import inspect

from mmengine.hooks import Hook, LoggerHook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from rggan_mm.close_names import did_you_mean
from rggan_mm.errors import ConfigError

CHECKPOINT_KEY = 'rggan_mm'
DEFAULT_LOG_INTERVAL = 100


class CheckedHook(Hook):
    """A hook that names an argument it does not know, and what is close to it."""

    def __new__(cls, *args: object, **kwargs: object) -> 'CheckedHook':
        """Checks argument names before the constructor sees them."""
        known = _argument_names(cls)
        for name, value in kwargs.items():
            if name not in known:
                raise ConfigError(
                    f'unknown argument {name}={value!r}{did_you_mean(name, known)}; '
                    f'{cls.__name__} takes: {", ".join(known) or "no arguments"}'
                )
        return super().__new__(cls)


class StatefulHook(CheckedHook):
    """A hook whose state travels in the checkpoint, under ``rggan_mm``.

    It comes back on resume and for testing or validating a checkpoint. Loading only
    the weights to train on (``load_from`` without ``resume``) starts afresh, as in
    MMEngine.
    """

    def state_dict(self) -> dict:
        """State as tensors and plain Python values."""
        raise NotImplementedError

    def restore(self, runner: Runner, state: dict, meta: dict) -> None:
        """Takes back what :meth:`state_dict` returned.

        Args:
            runner: The runner.
            state: The saved state.
            meta: The checkpoint's meta information; ``iter`` is its iteration.
        """
        raise NotImplementedError

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Adds the state to a checkpoint."""
        checkpoint.setdefault(CHECKPOINT_KEY, {})[type(self).__name__] = self.state_dict()

    def saved_state(self, checkpoint: dict) -> dict | None:
        """This hook's state in a checkpoint; None when it was not there."""
        return checkpoint.get(CHECKPOINT_KEY, {}).get(type(self).__name__)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restores the state, except when only weights are wanted."""
        state = self.saved_state(checkpoint)
        if state is not None and wants_state(runner):
            self.restore(runner, state, checkpoint.get('meta', {}))


def unwrap(module: nn.Module) -> nn.Module:
    """Returns the module inside distributed wrappers."""
    while is_model_wrapper(module):
        module = module.module
    return module


def is_on_gpu(model: nn.Module) -> bool:
    """Whether a model's weights are on a GPU."""
    return next(model.parameters()).is_cuda


def is_training(runner: Runner) -> bool:
    """True inside ``runner.train()``; its loop is built only there."""
    return isinstance(runner._train_loop, BaseLoop)


def wants_state(runner: Runner) -> bool:
    """True when a checkpoint is resumed, tested or validated."""
    return bool(runner._resume) or not is_training(runner)


def log_interval(runner: Runner) -> int:
    """The logger's interval in iterations."""
    intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
    return intervals[0] if intervals else DEFAULT_LOG_INTERVAL


def _argument_names(cls: type) -> list[str]:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(cls.__init__).parameters.values()
    return [p.name for p in parameters if p.name != 'self' and p.kind not in variable]
