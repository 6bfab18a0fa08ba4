"""Every GAN family of MMagic 1.2, tiny: configs and runners."""

import itertools
from copy import deepcopy
from pathlib import Path

import family_parts  # noqa: F401, registers what the configs name
import mmagic
from family_data import LOADERS
from family_table import FAMILIES, Family
from mmengine.config import Config
from mmengine.runner import Runner

CONFIGS = Path(mmagic.__file__).parent / '.mim' / 'configs'
FAKES = 8
# Translation models and those of a single image train on one image at a time.
SINGLE = ('CycleGAN', 'Pix2Pix', 'SinGAN', 'PESinGAN')

_runs = itertools.count()

# What every tiny run shares.
_RUN = {
    'train_cfg.max_iters': 6,
    'train_cfg.val_begin': 1,
    'train_cfg.val_interval': 3,
    'default_hooks.logger.interval': 2,
    'default_hooks.checkpoint.interval': 2,
    'default_hooks.checkpoint.rule': 'less',
}


def family_config(name, work_dir, hooks=(), metrics=(), path=None, **overrides):
    """The tiny config of a family.

    Args:
        name: One of :data:`FAMILIES`.
        work_dir: Where the run writes.
        hooks: Configs of hooks that join those of the stock config.
        metrics: Configs of metrics that join the family's own.
        path: A config of the family in place of the stock one.
        **overrides: More options; ``__`` in a key stands for a dot.
    """
    family = FAMILIES[name]
    config = Config.fromfile(path or CONFIGS / family.config)
    # Half of a tiny run's time: the config's text goes through a formatter for each checkpoint.
    object.__setattr__(config, '_format_python_code', False)
    config.work_dir = str(work_dir)
    config.launcher = 'none'
    # Every run needs a logger of its own name, or messages of one land in another's file.
    config.experiment_name = f'{Path(work_dir).name}_{next(_runs)}'
    config.merge_from_dict({**family.data(), **family.overrides})
    if family.trainable:
        _shorten(config, family)
    config.custom_hooks = [*(config.get('custom_hooks') or []), *hooks]
    for part in ('val', 'test') if metrics else ():
        config[f'{part}_evaluator'].metrics += deepcopy(list(metrics))
    config.merge_from_dict({key.replace('__', '.'): value for key, value in overrides.items()})
    return config


def family_runner(name, work_dir, **options):
    """A runner for :func:`family_config`."""
    return Runner.from_cfg(family_config(name, work_dir, **options))


def _shorten(config, family):
    config.merge_from_dict(_RUN)
    config.default_hooks.checkpoint.save_best = family.metric
    _set_batches(config)
    _set_validation(config, family)


def _set_batches(config):
    for name in LOADERS:
        loader = config.get(name)
        if loader:
            loader.batch_size = 1 if config.model.type in SINGLE else 4
            loader.num_workers = 0
            loader.persistent_workers = False


def _set_validation(config, family):
    given = config.get('test_dataloader') or config.train_dataloader
    metrics = [_metric(config, family)]
    for part in ('val', 'test'):
        config[f'{part}_dataloader'] = deepcopy(given)
        config[f'{part}_evaluator'] = dict(type='Evaluator', metrics=deepcopy(metrics))
        config[f'{part}_cfg'] = dict(type=f'Multi{part.title()}Loop')


def _metric(config, family):
    if family.metric == 'single/distance':
        return dict(type='SingleImageDistance')
    if family.metric == 'translation/distance':
        return dict(type='TranslationDistance', domain=config.model.default_domain)
    return dict(
        type='GANMetrics',
        values=['fid'],
        fake_nums=FAKES,
        extractor='digits',
        sample_model='ema' if config.model.get('ema_config') else 'orig',
    )


__all__ = ['FAMILIES', 'Family', 'family_config', 'family_runner']
