"""Feature extractors: what turns images into the numbers a metric compares.

An extractor is an ``nn.Module`` that maps float images in [0, 1], RGB, shape
(N, 3, H, W), to features, shape (N, D). Its ``name`` stands beside every number made
with it; a version at the end (``digits-v1``) keeps numbers of different weights apart.
"""

import re
from collections.abc import Callable

from mmagic.registry import MODELS
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.digits_net import load_digits_net

EXTRACTORS: dict[str, Callable[[], nn.Module]] = {'digits': load_digits_net}


def build_extractor(extractor: str | dict | nn.Module) -> nn.Module:
    """Build a feature extractor, frozen and in evaluation mode.

    Args:
        extractor: The name of a shipped one (``'digits'``), a config dict for MMagic's
            ``MODELS`` registry, or a ready module.

    Returns:
        The module; it keeps its device.

    Raises:
        ConfigError: Unknown name, or something else than the three kinds above.
    """
    if isinstance(extractor, dict):
        extractor = MODELS.build(extractor)
    elif isinstance(extractor, str) and extractor in EXTRACTORS:
        extractor = EXTRACTORS[extractor]()
    if not isinstance(extractor, nn.Module):
        raise ConfigError(
            f'extractor must be one of {", ".join(EXTRACTORS)}, a MODELS config or an '
            f'nn.Module, but got {extractor!r}'
        )
    return extractor.eval().requires_grad_(False)


def extractor_name(extractor: nn.Module) -> str:
    """Full name with version: the module's ``name``, else that of its class."""
    return getattr(extractor, 'name', type(extractor).__name__)


def short_name(extractor: nn.Module) -> str:
    """Name without version, as used for metric keys: ``digits`` for ``digits-v1``."""
    return re.sub(r'-v\d+$', '', extractor_name(extractor))
