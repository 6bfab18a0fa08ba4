"""MMEngine starts distributed runs on GPUs only."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import utils as dist_utils
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from torch import nn

from rggan_mm.compat.outcome import Outcome
from rggan_mm.errors import ConfigError

_NAME = 'distributed-cpu'


def _without_gpu(start: Callable[..., None]) -> Callable[..., None]:
    """Wrap MMEngine's start of processes that torchrun launched."""

    @wraps(start)
    def init_dist(backend: str, init_backend: str = 'torch', **kwargs: Any) -> None:
        if init_backend != 'torch':
            return start(backend, init_backend, **kwargs)
        if backend == 'nccl':
            raise ConfigError(
                "env_cfg.dist_cfg.backend='nccl' needs GPUs and this machine has none; "
                "set it to 'gloo' to run on the CPU"
            )
        return torch.distributed.init_process_group(backend=backend, **kwargs)

    return init_dist


def _plain_batch_norms(module: nn.Module) -> nn.Module:
    """Replace synchronised batch norms, which PyTorch has for GPUs only."""
    if not any(isinstance(child, nn.SyncBatchNorm) for child in module.modules()):
        return module
    print_log(
        f'{type(module).__name__}: on the CPU batch norms are not synchronised; '
        'each process uses the statistics of its own images',
        logger='current',
        level=logging.WARNING,
    )
    return revert_sync_batchnorm(module)


def _for_cpu(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap the constructor of MMDistributedDataParallel."""

    @wraps(init)
    def init_for_cpu(self: nn.Module, module: nn.Module, *args: Any, **kwargs: Any) -> None:
        kwargs.pop('device_ids', None)
        kwargs.pop('output_device', None)
        init(self, _plain_batch_norms(module), *args, **kwargs)

    return init_for_cpu


def allow_processes_on_cpu() -> Outcome:
    """Let ``torchrun`` start a run on a machine without GPUs.

    Symptom: ``torch.cuda.set_device`` fails ("No CUDA GPUs", "not compiled with
    CUDA"); after that ``DistributedDataParallel device_ids ... only work with``
    GPU modules, and SyncBatchNorm refuses tensors of the CPU. Cause: MMEngine
    takes GPUs for granted in ``_init_dist_pytorch`` and ``Runner.wrap_model``.
    Applies to MMEngine up to 0.10.7. With ``launcher='pytorch'`` and
    ``env_cfg.dist_cfg.backend='gloo'`` stock configs then run on the CPU; the
    launchers ``slurm`` and ``mpi`` still count GPUs.

    Returns:
        The outcome.
    """
    if get_device() != 'cpu':
        return Outcome(_NAME, False, f'this machine has a device of type {get_device()}')
    dist_utils._init_dist_pytorch = _without_gpu(dist_utils._init_dist_pytorch)
    MMDistributedDataParallel.__init__ = _for_cpu(MMDistributedDataParallel.__init__)
    return Outcome(_NAME, True, "launcher='pytorch' with backend='gloo' runs on the CPU")
