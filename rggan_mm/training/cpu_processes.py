"""Distributed runs on machines without GPUs, which MMEngine takes for granted."""

import datetime
import logging
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from rggan_mm.errors import ConfigError


def start_process(settings: dict[str, Any]) -> None:
    """Joins the processes that torchrun launched, without choosing a GPU.

    Args:
        settings: The config's ``env_cfg.dist_cfg``.

    Raises:
        ConfigError: Its backend is, or defaults to, 'nccl'.
    """
    settings = {'backend': 'nccl', **settings}
    if settings['backend'] == 'nccl':
        raise ConfigError(
            "env_cfg.dist_cfg.backend='nccl' needs GPUs and this machine has none; "
            "set it to 'gloo' to run on the CPU"
        )
    settings.pop('init_backend', None)
    if settings.get('timeout') is not None:
        settings['timeout'] = datetime.timedelta(seconds=settings['timeout'])
    torch.distributed.init_process_group(**settings)


def wrap(model: nn.Module, wrapper: dict[str, Any], sync_bn: str | None = None) -> nn.Module:
    """Wraps a model that stays on the CPU: no device numbers, no synchronised batch norms.

    Args:
        model: The model.
        wrapper: The config's ``model_wrapper_cfg``; ``type`` defaults to
            MMDistributedDataParallel.
        sync_bn: The config's ``sync_bn``, which is left out with a warning.

    Returns:
        The wrapped model.
    """
    synchronised = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    if sync_bn or synchronised:
        print_log(
            f'{type(model).__name__}: on the CPU batch norms are not synchronised; '
            'each process uses the statistics of its own images',
            logger='current',
            level=logging.WARNING,
        )
    wrapper = {'type': 'MMDistributedDataParallel', **wrapper}
    wrapper['module'] = revert_sync_batchnorm(model)
    return MODEL_WRAPPERS.build(wrapper)
