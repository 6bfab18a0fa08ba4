"""What an exported file says of itself, as text by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from rggan_mm.version import __version__

from .loading import Trained
from .stock_weights import Counts, share

SHRUNK = 'shrunk'  # 'yes' where channels were cut, else ''
CONFIG = 'config'  # its text; nothing reads it back
_VALIDATED = 'val/'
_NO_VALUES = ('val/time', 'val/data_time')


def metadata_of(trained: Trained, counts: Mapping[str, Counts], network: str) -> dict[str, str]:
    """Config, phase, keep ratios, colours and the best evaluation before the checkpoint.

    Args:
        trained: What is exported.
        counts: Kept weights by network, of those that are exported.
        network: Name of what is exported.
    """
    ratios = {name: round(share(found), 6) for name, found in counts.items()}
    order = getattr(trained.model.data_preprocessor, 'output_channel_order', None)
    phases = {name: 'sparse' if trained.sparse()[name].sparse else 'dense' for name in counts}
    return {
        'format': 'pt',  # of the tensors, which loaders ask for
        'rggan_mm': __version__,
        'network': network,
        'iteration': str(trained.checkpoint.get('meta', {}).get('iter', '')),
        'phase': json.dumps(phases),
        'keep_ratio': json.dumps(ratios),
        'evaluation': json.dumps(best_evaluation(trained.config, trained.checkpoint)),
        'channel_order': order or '',
        CONFIG: trained.config.pretty_text,
    }


def best_evaluation(config: Config, checkpoint: Mapping[str, Any]) -> dict[str, float]:
    """Values and protocol of the best evaluation that a checkpoint knows of.

    The metric is the one that the config keeps its best checkpoint by, else the first FID.

    Args:
        config: The run's config.
        checkpoint: A checkpoint with MMEngine's record of scalars; {} without one.
    """
    scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
    histories = {
        name.removeprefix(_VALIDATED): [float(value) for value in buffer.data[0]]
        for name, buffer in scalars.items()
        if name.startswith(_VALIDATED) and name not in _NO_VALUES
    }
    metric, sign = _criterion(config, histories)
    if metric is None:
        return {}
    values = [sign * value for value in histories[metric]]
    back = values.index(min(values)) - len(values)  # a resumed run may have other lengths
    return {name: found[back] for name, found in histories.items() if len(found) >= -back}


def _criterion(config: Config, histories: Mapping[str, list]) -> tuple[str | None, int]:
    saving = (config.get('default_hooks') or {}).get('checkpoint') or {}
    if saving.get('save_best') in histories:
        return saving['save_best'], -1 if saving.get('rule') == 'greater' else 1
    return next((name for name in histories if name.endswith('fid')), None), 1
