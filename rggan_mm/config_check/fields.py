"""Fields of MMEngine's and MMagic's configs, and what they may hold.

A name in the table may have ``*`` for any key or position. Only fields that every class
reads alike are here; what is special to one class is checked by that class. The largest
numbers are far beyond what anybody trains with, and short of what ends a machine: a
process for each worker, a tensor for each batch.
"""

import logging

from .rules import (
    Rule,
    either,
    flag,
    number,
    one_of,
    pair_of_decays,
    part,
    part_or_parts,
    parts,
    settings,
    text,
    texts,
    whole,
)

LARGEST_BATCH = 65_536
MOST_WORKERS = 256
MOST_FAKES = 10_000_000
# A wider layer alone, 3x3, would have 39 thousand million weights.
WIDEST = 65_536
LARGEST_FACTOR = 256
LEVELS = ('CRITICAL', 'FATAL', 'ERROR', 'WARNING', 'WARN', 'INFO', 'DEBUG', 'NOTSET')
_FACTOR = number(0, above=True, most=LARGEST_FACTOR)
_SEED = whole(0, 2**32 - 1)
_DIRECTIONS = ('less', 'greater')

_RUN = {
    'model': part(),
    'data_preprocessor': part().or_none(),
    'work_dir': text(),
    'default_scope': text().or_none(),
    'experiment_name': text().or_none(),
    'load_from': text().or_none(),
    'resume': flag().or_none(),
    'launcher': one_of('none', 'pytorch', 'slurm', 'mpi'),
    'log_level': either(one_of(*LEVELS), whole(logging.NOTSET, logging.CRITICAL)),
    'randomness': settings(),
    'randomness.seed': _SEED.or_none(),
    'randomness.deterministic': flag(),
    'randomness.diff_rank_seed': flag(),
    'env_cfg': settings(),
    'env_cfg.cudnn_benchmark': flag(),
    'env_cfg.mp_cfg': settings(),
    'env_cfg.mp_cfg.mp_start_method': one_of('fork', 'spawn', 'forkserver'),
    'env_cfg.mp_cfg.opencv_num_threads': whole(0, 1024),
    'env_cfg.dist_cfg': settings(),
    'env_cfg.dist_cfg.backend': text(),
    'env_cfg.resource_limit': whole(),
    'log_processor': part().or_none(),
    'log_processor.window_size': whole(),
    'log_processor.by_epoch': flag(),
    'visualizer': part().or_none(),
    'visualizer.vis_backends': parts().or_none(),
    'model_wrapper_cfg': settings().or_none(),
}

_LOOPS = {
    **{f'{name}_cfg': part().or_none() for name in ('train', 'val', 'test')},
    'train_cfg.max_iters': whole(),
    'train_cfg.max_epochs': whole(),
    'train_cfg.val_interval': whole(),
    'train_cfg.val_begin': whole(0),
    'train_cfg.by_epoch': flag(),
    'train_cfg.dynamic_intervals': Rule(lambda v: isinstance(v, list), 'a list').or_none(),
}

_HOOKS = {
    'default_hooks': settings().or_none(),
    'custom_hooks': parts().or_none(),
    'default_hooks.*': part().or_none(),
    'default_hooks.*.interval': either(whole(), one_of(-1)),
    'custom_hooks.*.interval': either(whole(), one_of(-1)),
    'default_hooks.logger.interval': whole(),
    'default_hooks.logger.log_metric_by_epoch': flag(),
    'default_hooks.logger.ignore_last': flag(),
    'default_hooks.checkpoint.by_epoch': flag(),
    'default_hooks.checkpoint.max_keep_ckpts': either(whole(), one_of(-1)),
    'default_hooks.checkpoint.save_best': texts().or_none(),
    'default_hooks.checkpoint.rule': either(
        one_of(*_DIRECTIONS, None),
        Rule(
            lambda v: isinstance(v, list) and all(rule in _DIRECTIONS for rule in v),
            'a list of them',
        ),
    ),
    'default_hooks.checkpoint.save_last': flag(),
    'default_hooks.checkpoint.save_optimizer': flag(),
    'default_hooks.checkpoint.save_param_scheduler': flag(),
    'default_hooks.checkpoint.save_begin': whole(0),
}

_LOADER = {
    'dataset': part(),
    'sampler': part().or_none(),
    'batch_sampler': part().or_none(),
    'batch_size': whole(1, LARGEST_BATCH).or_none(),
    'num_workers': whole(0, MOST_WORKERS),
    'prefetch_factor': whole(1, 1024).or_none(),
    'timeout': number(),
    'drop_last': flag(),
    'persistent_workers': flag(),
    'pin_memory': flag(),
    'dataset.pipeline': Rule(lambda v: isinstance(v, (list, tuple)), 'a list').or_none(),
    'dataset.serialize_data': flag(),
    'dataset.test_mode': flag(),
    'dataset.indices': Rule(lambda v: _indices(v), 'a whole number, a list of them').or_none(),
    'sampler.shuffle': flag(),
    'sampler.seed': _SEED.or_none(),
}

_OPTIMIZER = {
    'accumulative_counts': whole(),
    'clip_grad': settings().or_none(),
    'optimizer': part(),
    'optimizer.lr': number(),
    'optimizer.eps': number(),
    'optimizer.betas': pair_of_decays(),
    'optimizer.weight_decay': number(),
    'optimizer.momentum': number(),
    'optimizer.amsgrad': flag(),
}

_WIDTHS = (
    'base_channels',
    'in_channels',
    'out_channels',
    'input_scale',
    'output_scale',
    'out_size',
    'in_size',
    'noise_size',
    'style_channels',
)

# Factors of base_channels, one a block, or a dict of such lists by image size.
_FACTORS = Rule(
    lambda value: (
        isinstance(value, dict)
        or (isinstance(value, (list, tuple)) and bool(value) and all(map(_FACTOR.allows, value)))
    ),
    f'a list of numbers above 0 and of at most {LARGEST_FACTOR}',
)

_MODEL = {
    'model.generator': part().or_none(),
    'model.discriminator': part().or_none(),
    'model.noise_size': whole(1, WIDEST).or_none(),
    'model.discriminator_steps': whole(),
    'model.generator_steps': whole(1, 1000),
    'model.data_preprocessor': part().or_none(),
    'model.ema_config': part().or_none(),
    **{
        f'model.{network}.{name}': whole(1, WIDEST)
        for network in ('generator', 'discriminator')
        for name in _WIDTHS
    },
    **{
        f'model.{network}.channels_cfg': _FACTORS.or_none()
        for network in ('generator', 'discriminator')
    },
}

_METRICS = {
    '{}_evaluator': part_or_parts().or_none(),
    '{}_evaluator.metrics': part_or_parts(),
    '{}_evaluator.metrics.*.fake_nums': either(whole(1, MOST_FAKES), one_of(-1)).or_none(),
    '{}_evaluator.*.fake_nums': either(whole(1, MOST_FAKES), one_of(-1)).or_none(),
}


def _indices(value: object) -> bool:
    listed = value if isinstance(value, (list, tuple, range)) else [value]
    return all(type(index) is int for index in listed)


def _for_loaders() -> dict[str, Rule]:
    table = {}
    for name in ('train', 'val', 'test'):
        # Loops of several data sets take a list of loaders.
        table[f'{name}_dataloader'] = part_or_parts().or_none()
        for field, rule in _LOADER.items():
            table[f'{name}_dataloader.{field}'] = rule
            table[f'{name}_dataloader.#.{field}'] = rule
    return table


def _for_optimizers() -> dict[str, Rule]:
    table = {'optim_wrapper': part().or_none()}
    for field, rule in _OPTIMIZER.items():
        table[f'optim_wrapper.{field}'] = rule
        table[f'optim_wrapper.*.{field}'] = rule
    return table


FIELDS: dict[str, Rule] = {
    **_RUN,
    **_LOOPS,
    **_HOOKS,
    **_MODEL,
    **_for_loaders(),
    **_for_optimizers(),
    **{name.format(which): rule for which in ('val', 'test') for name, rule in _METRICS.items()},
}
