"""Runs of the real configs at a size that tests can afford."""

import logging
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / 'configs' / 'rg_sngan_digits_10pct.py'

TINY = {
    'train_cfg.max_iters': 6,
    'train_cfg.val_interval': 1,
    'train_dataloader.batch_size': 8,
    'val_evaluator.metrics.0.fake_nums': 20,
    'test_evaluator.metrics.0.fake_nums': 20,
    'val_dataloader.batch_size': 10,
    'test_dataloader.batch_size': 10,
    'model.generator.base_channels': 4,
    'model.discriminator.base_channels': 4,
    'default_hooks.logger.interval': 2,
    'default_hooks.checkpoint.interval': 2,
}


def tiny_config(work_dir, path=DIGITS, **overrides):
    """A config of the repository at tiny size.

    ``__`` in a key stands for a dot; a key may begin with the type of a custom hook.
    """
    config = Config.fromfile(path)
    config.work_dir = str(work_dir)
    config.launcher = 'none'
    # Every run needs a logger of its own name, or messages of one land in another's file.
    config.experiment_name = Path(work_dir).name
    config.merge_from_dict(TINY)
    for key, value in {'SampleGridHook.rows': 2, **overrides}.items():
        _override(config, key.replace('__', '.'), value)
    return config


def _override(config, key, value):
    kind, _, argument = key.partition('.')
    if not kind.endswith('Hook'):
        config.merge_from_dict({key: value})
    for hook in config.custom_hooks:
        if hook['type'] == kind:
            hook[argument] = value


def tiny_runner(work_dir, path=DIGITS, **overrides):
    """A runner for :func:`tiny_config`."""
    return Runner.from_cfg(tiny_config(work_dir, path, **overrides))


def hook_of(runner, kind):
    """The runner's hook of a class."""
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


class Records(logging.Handler):
    """Collects log messages of a runner."""

    def __init__(self, runner):
        super().__init__()
        self.messages = []
        runner.logger.addHandler(self)

    def emit(self, record):
        self.messages.append((record.levelname, record.getMessage()))

    def having(self, text):
        """Messages that contain a text."""
        return [message for _, message in self.messages if text in message]


__all__ = ['DIGITS', 'ROOT', 'TINY', 'Records', 'hook_of', 'tiny_config', 'tiny_runner']
