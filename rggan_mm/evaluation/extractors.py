"""Feature extractors: what turns images into the numbers a metric compares.

An extractor is an ``nn.Module`` that maps float images in [0, 1], RGB, shape
(N, 3, H, W), to features, shape (N, D). What else it may have, all optional:

- ``name``: stands beside every number made with it; a version at the end
  (``digits-v1``) keeps numbers of different weights apart. Default: its class.
- ``short_name``: first part of metric keys. Default: ``name`` without its version.
- ``resize``: how it resizes images, in words (``'bilinear 299'``). Default: ``'none'``.
- ``note``: what to know about such numbers, in a few words; it is printed beside them.
- ``classify(features)``: class scores, (N, D) to (N, C), ahead of the softmax; the
  Inception Score needs it.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import torch
from mmagic.registry import MODELS
from torch import Tensor, nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.digits_net import load_digits_net
from rggan_mm.evaluation.efficientnet import EfficientNetExtractor
from rggan_mm.evaluation.inception import InceptionExtractor

EXTRACTORS: dict[str, Callable[[], nn.Module]] = {
    'digits': load_digits_net,
    'efficientnet': EfficientNetExtractor,
    'inception': InceptionExtractor,
}


def build_extractor(extractor: str | dict | nn.Module) -> nn.Module:
    """Build a feature extractor, frozen and in evaluation mode.

    Args:
        extractor: The name of a shipped one (``'digits'``, ``'efficientnet'``, ``'inception'``), a
            config dict for MMagic's ``MODELS`` registry, or a ready module.

    Returns:
        The module; it keeps its device.

    Raises:
        ConfigError: Unknown name, or something else than the three kinds above; or the
            extractor's own complaint (missing weights).
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
    return _text(extractor, 'name') or type(extractor).__name__


def short_name(extractor: nn.Module) -> str:
    """Name for metric keys: ``short_name``, else the name without version.

    ``digits`` for ``digits-v1``; letters that a key cannot have become ``_``.
    """
    name = _text(extractor, 'short_name')
    name = name or re.sub(r'-v\d+$', '', extractor_name(extractor))
    return re.sub(r'[^\w.+-]+', '_', name)


def resize_name(extractor: nn.Module) -> str:
    """How the extractor resizes images, in words; ``'none'`` if it does not say."""
    return _text(extractor, 'resize') or 'none'


def description(extractor: nn.Module) -> dict[str, str]:
    """What stands beside a number: ``extractor``, ``resize`` and, where it has one, ``note``."""
    names = {'extractor': extractor_name(extractor), 'resize': resize_name(extractor)}
    note = _text(extractor, 'note')
    return {**names, 'note': note} if note else names


def can_classify(extractor: nn.Module) -> bool:
    """Whether it gives class scores, as the Inception Score needs."""
    return callable(getattr(extractor, 'classify', None))


def check_features(features: Any, images: Tensor, extractor: nn.Module) -> Tensor:
    """Refuse what an extractor gave if it is not one row of numbers an image.

    Args:
        features: What it gave.
        images: What it was given, shape (N, 3, H, W).
        extractor: Named in the error.

    Returns:
        ``features``, as they are.

    Raises:
        ConfigError: ``features`` is no floating tensor of shape (N, D).
    """
    is_rows = isinstance(features, Tensor) and features.is_floating_point()
    if is_rows and features.dim() == 2 and len(features) == len(images):
        return features
    found = type(features).__name__
    if isinstance(features, Tensor):
        found = f'{features.dtype} of shape {tuple(features.shape)}'
    raise ConfigError(
        f'extractor {extractor_name(extractor)} must give floating features of shape (N, D), '
        f'N={len(images)} for these images, but gave {found}'
    )


def weights_hash(extractor: nn.Module) -> str:
    """SHA-256 of what makes its features, 64 hexadecimal digits.

    Covers class, name, resize, layers with their settings (its ``repr``), plain attributes of
    the modules (numbers, strings) and the state dict: names, types, shapes, values. Device
    and memory format do not count.
    """
    kind = type(extractor)
    names = (kind.__module__, kind.__qualname__, extractor_name(extractor), resize_name(extractor))
    digest = hashlib.sha256('\0'.join([*names, repr(extractor)]).encode())
    for name, module in extractor.named_modules():
        digest.update(f'\0{name}{plain_attributes(module)}'.encode())
    for name, value in sorted(extractor.state_dict().items()):
        digest.update(f'\0{name}\0'.encode() + _content(value))
    return digest.hexdigest()


def made_by(extractor: nn.Module) -> dict[str, str]:
    """What tells features of one extractor from those of another."""
    return {
        'extractor': extractor_name(extractor),
        'resize': resize_name(extractor),
        'weights': weights_hash(extractor),
    }


def plain_attributes(module: nn.Module) -> dict[str, str]:
    """Attributes of a module that are numbers, strings or lists of them, by name."""
    return {
        name: repr(value)
        for name, value in sorted(vars(module).items())
        if not name.startswith('_') and name != 'training' and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _content(value: Any) -> bytes:
    """Type, shape and values of an entry of a state dict."""
    if not isinstance(value, Tensor):  # what a module's get_extra_state gives
        return repr(value).encode()
    values = value.detach().cpu().flatten().view(torch.uint8).numpy().tobytes()
    return f'{value.dtype} {tuple(value.shape)}\0'.encode() + values


def _text(extractor: nn.Module, attribute: str) -> str:
    """The attribute if it is a string; a module may well have a method of that name."""
    value = getattr(extractor, attribute, '')
    return value if isinstance(value, str) else ''
