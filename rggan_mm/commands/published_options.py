"""The published scripts' command line, as changes to a config.

One table, :data:`OPTIONS`, makes the arguments of ``tools/train.py``, applies them and is
what docs/configs.md shows. Each option may be written with underscores, as published, or
with dashes.
"""

import math
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config, ConfigDict

from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import hooks_of, kind_of
from rggan_mm.schedule import train_schedule

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
EVALUATORS = ('val_evaluator', 'test_evaluator')
PRUNING = 'DynamicPruningHook'
DIFFAUG = 'DiffAugmentHook'
# They say nothing but a length.
COUNTED_ONLY = ('epoch', 'eva_epoch')
# Not the batch size: several processes share the published one between them.
SCHEDULE_FIELDS = (
    'epochs',
    'eval_epochs',
    'train_images',
    'train_dataloader.dataset.data_ratio',
)


@dataclass(frozen=True)
class Option:
    """One option of the published scripts.

    Attributes:
        name: Its name there, without the leading dashes.
        kind: Type of its value; ``bool`` for a switch.
        fields: What it sets in a config, in words for help and documentation.
        default: Its value in the CIFAR-10 configs, for help and documentation.
        apply: Takes a config and the value and changes the config.
        allowed: Whether a value is usable.
        needs: What a usable value is, for the message.
        in_schedule: Whether the number of iterations depends on it.
    """

    name: str
    kind: type
    fields: str
    default: str
    apply: Callable[[Config, Any], None]
    allowed: Callable[[Any], bool] = bool
    needs: str = ''
    in_schedule: bool = False

    @property
    def flags(self) -> list[str]:
        """The spellings on the command line, the published one first."""
        return list(dict.fromkeys([f'--{self.name}', f'--{self.name.replace("_", "-")}']))

    def check(self, value: Any) -> None:
        """Raises ConfigError when the value is not usable."""
        if not self.allowed(value):
            raise ConfigError(f'--{self.name}={value} must be {self.needs}')


def add_options(parser: ArgumentParser) -> None:
    """Adds all options to a command line; one that is not given is None or False."""
    group = parser.add_argument_group('options of the published scripts')
    for option in OPTIONS:
        how = {'action': 'store_true'} if option.kind is bool else {'type': option.kind}
        text = f'{option.fields} (CIFAR-10 configs: {option.default})'
        group.add_argument(*option.flags, dest=option.name, help=text, **how)


def apply_options(config: Config, values: Mapping[str, Any]) -> None:
    """Changes a config as the options that were given ask for.

    Args:
        config: The config; changed in place. ``train_cfg`` is counted anew only when an
            option is given that it depends on.
        values: Value by name of the option; None, False or missing is not given. Other
            names are ignored.

    Raises:
        ConfigError: A value is not usable, or the config has nothing that it could set.
    """
    given = [option for option in OPTIONS if _is_given(values.get(option.name))]
    for option in given:
        option.check(values[option.name])
    for option in given:
        option.apply(config, values[option.name])
    counting = [option for option in given if option.in_schedule]
    if counting and 'train_images' in config:
        config.train_cfg.update(train_schedule(config))
    elif any(option.name in COUNTED_ONLY for option in counting):
        raise ConfigError(
            f'--{counting[0].name} counts iterations from train_images, which the config has not; '
            'set train_cfg.max_iters and train_cfg.val_interval with --cfg-options'
        )


def counts_anew(changes: Mapping[str, Any]) -> bool:
    """Whether ``--cfg-options`` change epochs or share, from which iterations are counted."""
    return any(name in SCHEDULE_FIELDS for name in changes)


def _is_given(value: Any) -> bool:
    return value is not None and value is not False  # 0 is given


def _sets(field: str) -> Callable[[Config, Any], None]:
    return lambda config, value: config.merge_from_dict({field: value})


def _set_lr(config: Config, lr: float) -> None:
    wrappers = (config.optim_wrapper, *config.optim_wrapper.values())
    for wrapper in wrappers:
        if isinstance(wrapper, dict) and 'optimizer' in wrapper:
            wrapper.optimizer.lr = lr
    for hook in _hooks(config, PRUNING):
        hook.lr = lr


def _set_lambda(config: Config, lam: float) -> None:
    hooks = _hooks(config, PRUNING)
    if not hooks:
        raise ConfigError(
            f'--lambda={lam}: the config has no {PRUNING}; take a config whose name begins with rg_'
        )
    for hook in hooks:
        hook.lam = lam


def _set_fake_nums(config: Config, count: int) -> None:
    metrics = [metric for name in EVALUATORS for metric in _metrics(config.get(name))]
    if not metrics:
        raise ConfigError(f'--eva_size={count}: the config has no metrics')
    for metric in metrics:
        metric.fake_nums = count


def _add_diffaug(config: Config, _: bool) -> None:
    if not _hooks(config, DIFFAUG):
        config.diffaug_hooks = dict(augment=dict(type=DIFFAUG))


def _set_workers(config: Config, workers: int) -> None:
    for loader in _loaders(config):
        # PyTorch refuses persistent workers where there are none.
        loader.update(num_workers=workers, persistent_workers=workers > 0)


def _set_data_root(config: Config, folder: str) -> None:
    data_sets = [loader.dataset for loader in _loaders(config)]
    on_disk = [d for d in data_sets if 'data_root' in d]
    growing = [d for d in data_sets if 'data_roots' in d]  # PGGAN, StyleGAN1: one folder a scale
    if not on_disk and not growing:
        raise ConfigError(f'--dataroot={folder}: no data set of this config has a data_root')
    for data_set in on_disk:
        data_set.data_root = folder
    for data_set in growing:
        data_set.data_roots = dict.fromkeys(data_set.data_roots, folder)


def _hooks(config: Config, kind: str) -> list[ConfigDict]:
    return [hook for hook in hooks_of(config) if kind_of(hook) == kind]


def _loaders(config: Config) -> list[ConfigDict]:
    given = [config[name] for name in LOADERS if config.get(name)]
    lists = [loader if isinstance(loader, (list, tuple)) else [loader] for loader in given]
    return [loader for loaders in lists for loader in loaders]


def _metrics(evaluator: Any) -> Iterator[ConfigDict]:
    """Metrics of an evaluator, which MMEngine takes as one, as a list, or wrapped."""
    if isinstance(evaluator, (list, tuple)):
        for part in evaluator:
            yield from _metrics(part)
    elif evaluator and 'metrics' in evaluator:
        yield from _metrics(evaluator.metrics)
    elif evaluator:
        yield evaluator


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


_COUNT = {'allowed': lambda value: value >= 1, 'needs': 'a whole number of at least 1'}

OPTIONS = (
    Option('epoch', int, 'epochs', '1000', _sets('epochs'), **_COUNT, in_schedule=True),
    Option(
        'batch_size',
        int,
        'train_dataloader.batch_size',
        '64',
        _sets('train_dataloader.batch_size'),
        **_COUNT,
        in_schedule=True,
    ),
    Option(
        'lr',
        float,
        'lr of every optimizer in optim_wrapper, DynamicPruningHook.lr',
        '2e-4',
        _set_lr,
        _positive,
        'a finite number above 0',
    ),
    Option(
        'n_critic',
        int,
        'model.discriminator_steps',
        '5',
        _sets('model.discriminator_steps'),
        **_COUNT,
    ),
    Option(
        'data_ratio',
        float,
        'train_dataloader.dataset.data_ratio',
        '0.1, 0.2 or 1.0',
        _sets('train_dataloader.dataset.data_ratio'),
        lambda value: 0 < value <= 1,
        'a number in (0, 1]',
        in_schedule=True,
    ),
    Option('eva_epoch', int, 'eval_epochs', '5', _sets('eval_epochs'), **_COUNT, in_schedule=True),
    Option(
        'eva_size',
        int,
        'fake_nums of every metric of val_evaluator and test_evaluator',
        '10000',
        _set_fake_nums,
        **_COUNT,
    ),
    Option(
        'diffaug',
        bool,
        'diffaug_hooks: DiffAugmentHook, unless it is there',
        'off; on in the configs named _diffaug',
        _add_diffaug,
    ),
    Option(
        'lambda',
        float,
        'DynamicPruningHook.lam',
        '1e-13',
        _set_lambda,
        lambda value: math.isfinite(value) and value >= 0,
        'a finite number of at least 0',
    ),
    Option(
        'workers',
        int,
        'num_workers and persistent_workers of every dataloader',
        '4',
        _set_workers,
        lambda value: value >= 0,
        'a whole number of at least 0',
    ),
    Option(
        'dataroot',
        str,
        'data_root of every data set',
        'data/cifar10',
        _set_data_root,
        needs='the name of a folder',
    ),
)
