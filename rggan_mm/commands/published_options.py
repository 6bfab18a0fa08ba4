"""Options of the published scripts, as changes to a config.

One table, :data:`OPTIONS`, makes the arguments of ``tools/train.py``, applies them and is
what docs/configs.md shows. Each option may be written with underscores, as published, or
with dashes.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config, ConfigDict

from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import hooks_of, kind_of
from rggan_mm.schedule import train_schedule

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
PRUNING = 'DynamicPruningHook'
DIFFAUG = 'DiffAugmentHook'
# Iterations are counted from these fields. The batch size is not among those of
# --cfg-options: several processes share the published one between them.
SCHEDULE_FIELDS = ('epochs', 'eval_epochs', 'train_images', 'train_dataloader.dataset.data_ratio')


@dataclass(frozen=True)
class Option:
    """One option of the published scripts.

    Attributes:
        name: Its name there, without the leading dashes.
        kind: Type of its value; ``bool`` for a switch.
        sets: The config's field, or what it sets in words.
        default: Its value in the CIFAR-10 configs, for help and documentation.
    """

    name: str
    kind: type
    sets: str
    default: str

    @property
    def flags(self) -> list[str]:
        """The spellings on the command line, the published one first."""
        return list(dict.fromkeys([f'--{self.name}', f'--{self.name.replace("_", "-")}']))


# These set one field, from which iterations are counted.
COUNTED = (
    Option('epoch', int, 'epochs', '1000'),
    Option('batch_size', int, 'train_dataloader.batch_size', '64'),
    Option('data_ratio', float, 'train_dataloader.dataset.data_ratio', '0.1, 0.2 or 1.0'),
    Option('eva_epoch', int, 'eval_epochs', '5'),
)
OPTIONS = (
    *COUNTED,
    Option('lambda', float, f'{PRUNING}.lam, in place of keep_ratio', '1e-13'),
    Option(
        'diffaug',
        bool,
        f'diffaug_hooks: {DIFFAUG}, unless it is there',
        'off; on in the configs named _diffaug',
    ),
    Option('dataroot', str, 'data_root of every data set', 'data/cifar10'),
)


def add_options(parser: ArgumentParser) -> None:
    """Adds all options to a command line; one that is not given is None or False."""
    group = parser.add_argument_group('options of the published scripts')
    for option in OPTIONS:
        how = {'action': 'store_true'} if option.kind is bool else {'type': option.kind}
        text = f'{option.sets} (CIFAR-10 configs: {option.default})'
        group.add_argument(*option.flags, dest=option.name, help=text, **how)


def apply_options(config: Config, values: Mapping[str, Any]) -> None:
    """Changes a config as the options that were given ask for.

    Args:
        config: The config; changed in place. ``train_cfg`` is counted anew only when an
            option is given that it depends on.
        values: Value by name of the option; None, False or missing is not given. Other
            names are ignored.

    Raises:
        ConfigError: The config has nothing that an option could set, or iterations cannot
            be counted from a value.
    """
    counted = {option.sets: values.get(option.name) for option in COUNTED}
    _count(config, {field: value for field, value in counted.items() if value is not None})
    _set_strength(config, values.get('lambda'), values.get('keep_ratio'))
    if values.get('diffaug') and not _hooks(config, DIFFAUG):
        config.diffaug_hooks = dict(augment=dict(type=DIFFAUG))
    if values.get('held_out') is not None:
        _hold_out(config, values['held_out'])
    if values.get('dataroot') is not None:
        _set_data_root(config, values['dataroot'])


def count_anew(config: Config, changes: Mapping[str, Any]) -> None:
    """Counts iterations anew when ``--cfg-options`` changed epochs or images.

    Args:
        config: The config, with the changes in it; changed in place.
        changes: Fields by dotted name. A length among them has the last word.

    Raises:
        ConfigError: Iterations cannot be counted.
    """
    if any(name in SCHEDULE_FIELDS for name in changes):
        config.train_cfg.update(train_schedule(config))
        config.merge_from_dict(dict(changes))


def refuse_out_of_reach(config: Config, changes: Mapping[str, Any]) -> None:
    """A keep ratio that ``--cfg-options`` asks for is refused where the run cannot reach it.

    Those that our configs come with are warned of.

    Args:
        config: The config, with the changes in it; changed in place.
        changes: Fields by dotted name. An ``out_of_reach`` among them has the last word.
    """
    fields = {name.rpartition('.')[2] for name, value in changes.items() if value is not None}
    if 'keep_ratio' in fields and 'out_of_reach' not in fields:
        for hook in _hooks(config, PRUNING):
            hook.pop('out_of_reach', None)


def _count(config: Config, changes: Mapping[str, Any]) -> None:
    config.merge_from_dict(dict(changes))
    if changes and 'train_images' in config:
        config.train_cfg.update(train_schedule(config))
    elif 'epochs' in changes or 'eval_epochs' in changes:
        raise ConfigError(
            'train_images is missing: --epoch and --eva_epoch count iterations from it; set '
            'train_cfg.max_iters and train_cfg.val_interval with --cfg-options'
        )


def _set_strength(config: Config, lam: float | None, keep_ratio: float | None) -> None:
    given = {'lambda': lam, 'keep-ratio': keep_ratio}
    named = ' '.join(f'--{name}={value}' for name, value in given.items() if value is not None)
    if not named:
        return
    hooks = _hooks(config, PRUNING)
    if not hooks:
        raise ConfigError(
            f'{named}: the config has no {PRUNING}; take a config whose name begins with rg_'
        )
    for hook in hooks:
        for field, value in (('lam', lam), ('keep_ratio', keep_ratio)):
            if value is not None or field in hook:
                hook[field] = value
        if keep_ratio is not None:  # asked for, not one that the config came with
            hook.pop('out_of_reach', None)
        else:
            hook.pop('reach', None)


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


def _hold_out(config: Config, share: float) -> None:
    for loader in _loaders(config):
        if loader.dataset.get('type') != 'ImageFiles':
            raise ConfigError(
                f'--held-out={share}: needs data sets of type ImageFiles, but this config has '
                f'{loader.dataset.get("type")}'
            )
        loader.dataset.held_out = share
        loader.dataset.test_mode = loader is not config.train_dataloader


def _hooks(config: Config, kind: str) -> list[ConfigDict]:
    return [hook for hook in hooks_of(config) if kind_of(hook) == kind]


def _loaders(config: Config) -> list[ConfigDict]:
    given = [config[name] for name in LOADERS if config.get(name)]
    lists = [loader if isinstance(loader, (list, tuple)) else [loader] for loader in given]
    return [loader for loaders in lists for loader in loaders]
