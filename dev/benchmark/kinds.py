"""The runs that are compared, as configs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.registry import HOOKS

from rggan_mm.analysis.model_building import build_model
from rggan_mm.commands.configs import read_config
from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import GROUPS, hooks_of, kind_of

from .random_images import RandomImages

# They act at evaluations, of which a benchmark has none, or are a setting of it.
_LEFT_OUT = (
    'DenseMergeHook',
    'CurvesHook',
    'SampleGridHook',
    'DataCheckHook',
    'ChannelsLastHook',
    'ResidentImagesHook',
    'DeferredLossesHook',
    'CudaGraphHook',
)
# Part of the training, with and without RG-GAN.
_OF_EVERY_RUN = ('DiffAugmentHook',)
_FOREVER = 10**9


@dataclass(frozen=True)
class Kind:
    """One run of a comparison.

    Attributes:
        title: What tables call it.
        pruned: Whether it has the config's RG-GAN hooks, and its other hooks of this
            package that act in every iteration.
        mode: Gradient mode of the thresholds.
        sparse: The phase.
        naive: Whether masks are computed by the naive reference.
        settings: Whether the settings of the command line hold for it.
    """

    title: str
    pruned: bool = True
    mode: str = 'published'
    sparse: bool = True
    naive: bool = False
    settings: bool = True


KINDS = {
    'dense': Kind('dense, stock', pruned=False),
    'published': Kind('RG, published'),
    'ste': Kind('RG, ste', mode='ste'),
    'dense_phase': Kind('RG, dense phase', sparse=False),
    'naive': Kind('RG, naive reference', naive=True),
    'defaults': Kind('dense, defaults', pruned=False, settings=False),
}


# Hooks that make runs on a GPU faster; fused is a setting of the optimisers.
FAST = {
    'images': 'ResidentImagesHook',
    'losses': 'DeferredLossesHook',
    'fused': None,
    'graphs': 'CudaGraphHook',
}


@dataclass(frozen=True)
class Settings:
    """What holds for all runs but the one with stock defaults.

    Attributes:
        channels_last: Whether convolutions work in channels-last memory format.
        compiled: Whether the generator is compiled.
        amp: 'bf16' or 'fp16'; None: float32.
        fast: Names of :data:`FAST`, what makes runs on a GPU faster.
    """

    channels_last: bool = False
    compiled: bool = False
    amp: str | None = None
    fast: tuple[str, ...] = ()

    def hooks(self) -> list[dict]:
        """Hooks that these settings add."""
        names = ['ChannelsLastHook'] if self.channels_last else []
        return [{'type': name} for name in (*names, *map(FAST.get, self.fast)) if name]


def config_of(
    kind: Kind,
    path: str,
    batch_size: int | None,
    settings: Settings,
    changes: Mapping[str, Any] | None = None,
) -> Config:
    """The config of one run, on random images and without evaluations.

    Args:
        kind: The run.
        path: Config with RG-GAN of an unconditional GAN.
        batch_size: Images in a batch; None takes the config's.
        settings: Settings of the command line.
        changes: Fields of the config to set, by dotted name. Default: none.

    Raises:
        ConfigError: The config has no RG-GAN hooks, or is not of an unconditional GAN.
    """
    config = read_config(path, changes)
    hooks = [hook for hook in hooks_of(config) if _takes_part(hook, kind)]
    if kind.pruned:
        _set_mode(path, hooks, kind.mode)
    if kind.settings:
        hooks += settings.hooks()
    for group in GROUPS:
        config.pop(group, None)
    config.custom_hooks = hooks
    for part in ('dataloader', 'cfg', 'evaluator'):
        for stage in ('val', 'test'):
            config[f'{stage}_{part}'] = None
    config.train_dataloader = _loader(config, batch_size)
    config.train_cfg = {'by_epoch': False, 'max_iters': _FOREVER}
    config.default_hooks.checkpoint = {
        'type': 'CheckpointHook', 'interval': _FOREVER, 'by_epoch': False,
    }  # fmt: skip
    if kind.settings and 'fused' in settings.fast:
        _fuse(config)
    config.update(log_level='ERROR', launcher='none', resume=False, load_from=None)
    return config


def _fuse(config: Config) -> None:
    for wrapper in config.optim_wrapper.values():
        if isinstance(wrapper, dict):
            wrapper['optimizer']['fused'] = True


def _takes_part(hook: Mapping[str, Any], kind: Kind) -> bool:
    name = kind_of(hook)
    known = HOOKS.get(name)
    ours = known is None or known.__module__.startswith('rggan_mm.')
    return name not in _LEFT_OUT and (kind.pruned or not ours or name in _OF_EVERY_RUN)


def _set_mode(path: str, hooks: Sequence[dict], mode: str) -> None:
    for hook in hooks:
        if kind_of(hook) == 'DynamicPruningHook':
            hook['mode'] = mode
            return
    raise ConfigError(f'{path}: it has no DynamicPruningHook; take a config with RG-GAN')


def _loader(config: Config, batch_size: int | None) -> dict:
    stock = config.train_dataloader
    channels, size = _image_shape(config)
    return {
        'batch_size': batch_size or stock['batch_size'],
        'num_workers': 0,
        'sampler': {'type': 'InfiniteSampler', 'shuffle': True},
        'dataset': {
            'type': RandomImages.__name__,
            'image_size': size,
            'channels': channels,
            'pipeline': [{'type': 'PackInputs'}],
        },
    }


def _image_shape(config: Config) -> tuple[int, int]:
    generator = getattr(build_model(config), 'generator', None)
    if generator is None or not hasattr(generator, 'noise_size'):
        raise ConfigError(
            f'model={config.model.type}: only unconditional GANs train on random images here'
        )
    images = generator.eval()(None, num_batches=1)
    return images.shape[1], images.shape[-1]
