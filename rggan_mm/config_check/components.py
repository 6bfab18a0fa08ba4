"""Where a config names components, and which registry each of them comes from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine import registry as registries
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from rggan_mm.hooks.groups import GROUPS

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_SPECIAL_TO_LOADERS = (
    'dataset',
    'collate_fn',
    'worker_init_fn',
    'num_batch_per_epoch',
    'disable_subprocess_warning',
)


@dataclass(frozen=True)
class Component:
    """A dict that a class is built from.

    Attributes:
        field: Its name in the config.
        config: The dict.
        registry: Where MMEngine looks the class up.
        default: The class, or its name, when the dict names none; '' where it must.
        given: Arguments that MMEngine or the component around it adds.
        removed: Keys that are read before the class is built.
    """

    field: str
    config: Mapping[str, Any]
    registry: registries.Registry
    default: str | Callable = ''
    given: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def components(config: Mapping[str, Any]) -> Iterator[Component]:
    """The components that every MMEngine run of a GAN builds alike.

    Parts inside of networks (norms, activations, initial weights) are not among them: each
    network reads those in its own way.
    """
    yield from _model(config)
    for name in _LOADERS:
        for field, loader in _dicts(name, config.get(name)):
            yield from _loader(field, loader)
    yield from _loops(config)
    yield from _evaluators(config)
    yield from _optimizers(config)
    yield from _hooks(config)
    yield from _surroundings(config)


def _model(config: Mapping) -> Iterator[Component]:
    models = registries.MODELS
    for field, model in _dicts('model', config.get('model')):
        yield Component(field, model, models, given=('data_preprocessor',))
        for name in ('generator', 'discriminator'):
            given = ('noise_size', 'num_classes')
            yield from _one(f'model.{name}', model.get(name), models, given=given)
        yield from _one('model.data_preprocessor', model.get('data_preprocessor'), models)
        yield from _one(
            'model.ema_config',
            model.get('ema_config'),
            models,
            default='ExponentialMovingAverage',
            given=('model',),
            removed=('start_iter',),
        )


def _loader(field: str, loader: Mapping) -> Iterator[Component]:
    yield Component(
        field, loader, registries.FUNCTIONS, DataLoader, ('dataset',), _SPECIAL_TO_LOADERS
    )
    yield from _data_set(f'{field}.dataset', loader.get('dataset'))
    samplers = registries.DATA_SAMPLERS
    sampler = loader.get('sampler')
    yield from _one(f'{field}.sampler', sampler, samplers, given=('dataset', 'seed'))
    yield from _one(
        f'{field}.batch_sampler',
        loader.get('batch_sampler'),
        samplers,
        given=('sampler', 'batch_size'),
    )


def _data_set(field: str, data_set: Any) -> Iterator[Component]:
    yield from _one(field, data_set, registries.DATASETS)
    if isinstance(data_set, Mapping):
        yield from _many(f'{field}.pipeline', data_set.get('pipeline'), registries.TRANSFORMS)


def _loops(config: Mapping) -> Iterator[Component]:
    for name, default in (('train', ''), ('val', 'ValLoop'), ('test', 'TestLoop')):
        field, given = f'{name}_cfg', ('runner', 'dataloader', 'evaluator')
        for _, loop in _dicts(field, config.get(field)):
            by_epoch = loop.get('by_epoch')
            usual = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
            default = default or ('' if by_epoch is None else usual)
            yield Component(field, loop, registries.LOOPS, default, given, ('by_epoch',))


def _evaluators(config: Mapping) -> Iterator[Component]:
    for name in ('val_evaluator', 'test_evaluator'):
        for field, part in _dicts(name, config.get(name)):
            if 'metrics' in part:
                yield Component(field, part, registries.EVALUATOR, 'Evaluator')
                yield from _many(f'{field}.metrics', part['metrics'], registries.METRICS)
            else:
                yield Component(field, part, registries.METRICS)


def _optimizers(config: Mapping) -> Iterator[Component]:
    removed = ('constructor', 'paramwise_cfg', 'modules')
    for field, wrapper in _wrappers(config.get('optim_wrapper')):
        yield Component(
            field,
            wrapper,
            registries.OPTIM_WRAPPERS,
            default='OptimWrapper',
            given=('optimizer',),
            removed=removed,
        )
        optimizer = wrapper['optimizer']
        given = ('params',)
        yield from _one(f'{field}.optimizer', optimizer, registries.OPTIMIZERS, given=given)


def _wrappers(given: Any) -> Iterator[tuple[str, Mapping]]:
    """The wrapper, or where there are several those that have an optimiser."""
    if not isinstance(given, Mapping):
        return
    if 'optimizer' in given:
        yield 'optim_wrapper', given
        return
    for name, wrapper in given.items():
        if isinstance(wrapper, Mapping) and 'optimizer' in wrapper:
            yield f'optim_wrapper.{name}', wrapper


def _hooks(config: Mapping) -> Iterator[Component]:
    for group in ('default_hooks', *GROUPS):
        hooks = config.get(group)
        for name, hook in hooks.items() if isinstance(hooks, Mapping) else ():
            yield from _one(f'{group}.{name}', hook, registries.HOOKS, removed=('priority',))
    hooks = config.get('custom_hooks')
    yield from _many('custom_hooks', hooks, registries.HOOKS, removed=('priority',))


def _surroundings(config: Mapping) -> Iterator[Component]:
    functions = registries.FUNCTIONS
    randomness, environment = config.get('randomness'), config.get('env_cfg') or {}
    yield from _one('randomness', randomness, functions, default=Runner.set_randomness)
    yield from _one(
        'env_cfg.mp_cfg', environment.get('mp_cfg'), functions, default=set_multi_processing
    )
    visualizer = config.get('visualizer')
    given = ('name', 'save_dir')
    yield from _one('visualizer', visualizer, registries.VISUALIZERS, given=given)
    if isinstance(visualizer, Mapping):
        backends = visualizer.get('vis_backends')
        yield from _many(
            'visualizer.vis_backends', backends, registries.VISBACKENDS, given=('save_dir',)
        )
    processor = config.get('log_processor')
    yield from _one('log_processor', processor, registries.LOG_PROCESSORS, default='LogProcessor')


def _one(field: str, part: Any, registry: Any, **details: Any) -> Iterator[Component]:
    if isinstance(part, Mapping):
        yield Component(field, part, registry, **details)


def _many(field: str, parts: Any, registry: Any, **details: Any) -> Iterator[Component]:
    for name, part in _dicts(field, parts):
        yield Component(name, part, registry, **details)


def _dicts(field: str, given: Any) -> Iterator[tuple[str, Mapping]]:
    """A dict, or the dicts of a list, with their names in the config."""
    if isinstance(given, Mapping):
        yield field, given
    elif isinstance(given, (list, tuple)):
        for position, part in enumerate(given):
            yield from _dicts(f'{field}.{position}', part)
