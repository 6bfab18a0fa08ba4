"""Runs of the real configs at a size that tests can afford."""

import itertools
import logging
from pathlib import Path

import cifar_archive
import family_data
from mmengine.config import Config
from mmengine.runner import Runner

from rggan_mm.hooks.groups import GROUPS, hooks_of, kind_of

ROOT = Path(__file__).resolve().parents[2]
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
    # It comes with a gc.collect(), which takes half a second in a process full of modules.
    'train_dataloader.dataset.serialize_data': False,
    'val_dataloader.dataset.serialize_data': False,
    'test_dataloader.dataset.serialize_data': False,
}

# Beside TINY: no large extractor and no processes.
TINY_LOCAL = {
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'val_evaluator.metrics.0.extractor': 'digits',
    'test_evaluator.metrics.0.extractor': 'digits',
    'default_hooks.checkpoint.save_best': 'digits/fid',
}

_runs = itertools.count()


def tiny_config(work_dir, path=DIGITS, **overrides):
    """A config of the repository at tiny size.

    ``__`` in a key stands for a dot; a key may begin with the type of a custom hook.
    """
    config = Config.fromfile(path)
    # Half of a tiny run's time: the config's text goes through a formatter for each checkpoint.
    object.__setattr__(config, '_format_python_code', False)
    config.work_dir = str(work_dir)
    config.launcher = 'none'
    # Every run needs a logger of its own name, or messages of one land in another's file.
    config.experiment_name = f'{Path(work_dir).name}_{next(_runs)}'
    for key, value in {**tiny_options(path), 'SampleGridHook.rows': 2, **overrides}.items():
        _override(config, key.replace('__', '.'), value)
    return config


def tiny_options(path):
    """What makes a config of the repository tiny; see :func:`tiny_config` for the keys."""
    if 'cifar10' in path.stem:
        return {**TINY, **TINY_LOCAL, **cifar_archive.local_options()}
    if 'dcgan_faces' in path.stem:
        return {**TINY, **TINY_LOCAL, **family_data.halved_faces()}
    if 'faces' in path.stem:
        return {**TINY, **TINY_LOCAL, **family_data.faces()}
    return TINY


def _override(config, key, value):
    kind, _, argument = key.partition('.')
    if key == 'custom_hooks':  # these and no others
        for group in GROUPS:
            config.pop(group, None)
    if not kind.endswith('Hook'):
        config.merge_from_dict({key: value})
    for hook in hooks_of(config):
        if kind_of(hook) == kind:
            hook[argument] = value


def tiny_runner(work_dir, path=DIGITS, **overrides):
    """A runner for :func:`tiny_config`."""
    return Runner.from_cfg(tiny_config(work_dir, path, **overrides))


def take_hooks(config, *kinds):
    """Leaves these of the hooks that make GPUs faster in a config, and no other of them."""
    fast = ('ResidentImagesHook', 'DeferredLossesHook', 'CudaGraphHook')
    config.custom_hooks = [hook for hook in config.custom_hooks if hook['type'] not in fast]
    config.custom_hooks += [dict(type=kind) for kind in kinds]


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


__all__ = [
    'DIGITS',
    'ROOT',
    'TINY',
    'Records',
    'hook_of',
    'take_hooks',
    'tiny_config',
    'tiny_options',
    'tiny_runner',
]
