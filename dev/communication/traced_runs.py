"""Short runs of a config in several processes on this machine, to trace what they say."""

import copy
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config

from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import kind_of, ungrouped

from .tracing import Part, trace

PRUNING = 'DynamicPruningHook'
RG_HOOKS = (PRUNING, 'RegenerationHook', 'DenseMergeHook')
# They wait for metrics.
OF_VALIDATION = ('DenseMergeHook', 'CurvesHook')
MODES = {'dense': None, 'published': 'published', 'ste': 'ste'}

Parts = dict[str, Part]


def trace_modes(
    config: Config, processes: int = 2, iterations: int = 15, validate: bool = False
) -> dict[str, Parts]:
    """Trains a config without RG-GAN and with either threshold gradient, in several processes.

    Everything runs on the CPU with gloo: numbers and sizes of the calls are those of a
    run on GPUs, but for synchronised batch norms, which exist on GPUs only.

    Args:
        config: A config that trains by iterations.
        processes: Number of processes, at least 2.
        iterations: Length of each run; the last iteration saves a checkpoint.
        validate: Whether to end each run with a validation.

    Returns:
        By mode ('dense', 'published', 'ste'): what the main process gave, by part of the
        run.

    Raises:
        ConfigError: A bad number, or what the config itself raises.
    """
    for name, value, least in (('processes', processes, 2), ('iterations', iterations, 1)):
        if value < least:
            raise ConfigError(f'{name}={value} must be at least {least}')
    runs = {
        mode: _shortened(with_mode(config, gradient), iterations, validate)
        for mode, gradient in MODES.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        for mode, run in runs.items():
            run.work_dir = str(Path(folder) / mode)
            run.experiment_name = f'{Path(folder).name}_{mode}'
        return _in_processes(partial(_trace_all, runs), processes, folder)[0]


def with_mode(config: Config, mode: str | None) -> Config:
    """A copy of a config with RG-GAN in one mode, or without it.

    Args:
        config: With RG-GAN or without; then DynamicPruningHook with its defaults comes in.
        mode: Threshold gradient; None: no RG-GAN.
    """
    config = ungrouped(copy.deepcopy(config))
    hooks = list(config.get('custom_hooks') or [])
    own = [hook for hook in hooks if kind_of(hook) in RG_HOOKS]
    config.custom_hooks = [hook for hook in hooks if kind_of(hook) not in RG_HOOKS]
    if mode is not None:
        own = own or [dict(type=PRUNING)]
        config.custom_hooks += [
            {**hook, 'mode': mode} if kind_of(hook) == PRUNING else hook for hook in own
        ]
    return config


def _shortened(config: Config, iterations: int, validate: bool) -> Config:
    if (config.get('train_cfg') or {}).get('by_epoch', True):
        raise ConfigError('train_cfg.by_epoch=True: only runs counted in iterations are traced')
    config.train_cfg.update(max_iters=iterations, val_interval=iterations)
    saving = dict(type='CheckpointHook', by_epoch=False, interval=iterations)
    config.merge_from_dict({'default_hooks.checkpoint': saving})
    if not validate:
        _leave_validation_out(config)
    config.update(launcher='pytorch', log_level='ERROR', resume=False)
    return config


def _leave_validation_out(config: Config) -> None:
    config.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    config.default_hooks.checkpoint.pop('save_best', None)
    hooks = config.custom_hooks
    config.custom_hooks = [hook for hook in hooks if kind_of(hook) not in OF_VALIDATION]


def _in_processes(work: Callable[[], object], processes: int, folder: str) -> list:
    """What ``work()`` returns in each of so many processes that know each other."""
    # Forked: a new interpreter would import everything again, and take longer than the runs.
    with ProcessPoolExecutor(processes, mp_context=get_context('fork')) as pool:
        futures = [
            pool.submit(_one_process, work, rank, processes, folder) for rank in range(processes)
        ]
    _raise_first(futures)
    return [future.result() for future in futures]


def _raise_first(futures: list[Future]) -> None:
    """Raises what is for the user, rather than that a process lost the others."""
    errors = [future.exception() for future in futures if future.exception()]
    raise_first = [error for error in errors if isinstance(error, ConfigError)] or errors
    if raise_first:
        raise raise_first[0]


def _one_process(work: Callable[[], object], rank: int, world: int, folder: str) -> object:
    torch.set_num_threads(1)  # a forked process has no thread pool
    with _among_others(rank, world, folder):
        return work()


@contextmanager
def _among_others(rank: int, world: int, folder: str) -> Iterator[None]:
    os.environ['LOCAL_RANK'] = str(rank)
    store = f'file://{folder}/store'
    dist.init_process_group('gloo', init_method=store, rank=rank, world_size=world)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _trace_all(runs: dict[str, Config]) -> dict[str, Parts]:
    return {mode: trace(run) for mode, run in runs.items()}
