"""DiffAugment as a step of a data pipeline."""

from collections.abc import Sequence

import numpy as np
import torch
from mmagic.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from rggan_mm.datasets.transforms.diffaug import DEFAULT_POLICY, diff_augment, parse_policy
from rggan_mm.errors import ConfigError

HALF_RANGE = 127.5  # uint8 0..255 <-> -1..1, the scale that DiffAugment is made for


@TRANSFORMS.register_module()
class DiffAugmentTransform(BaseTransform):
    """Augment single images of a results dict with :func:`diff_augment`.

    This is plain augmentation of real images. For a GAN it leaks into what the
    generator learns; DiffAugment as published also augments the fakes, which
    ``DiffAugmentHook`` does.

    An image has shape (H, W, C) or (H, W). uint8 is taken to [-1, 1] for the
    augmentation and back; floats must be in [-1, 1] already and keep their dtype.
    Every key gets draws of its own.

    Args:
        keys: Key or keys of the images in the results dict. Default: ``'gt'``.
        policy: As for :func:`diff_augment`. Default: all three augmentations.

    Raises:
        ConfigError: ``policy`` has a name that is not known; in a pipeline: an image
            is neither uint8 nor float, or a key is missing.
    """

    def __init__(self, keys: str | Sequence[str] = 'gt', policy: str = DEFAULT_POLICY):
        self.keys = [keys] if isinstance(keys, str) else list(keys)
        parse_policy(policy)
        self.policy = policy

    def transform(self, results: dict) -> dict:
        """Replace the images under the keys by augmented ones of the same form."""
        for key in self.keys:
            if key not in results:
                raise ConfigError(f'keys={self.keys}: no {key!r} among {sorted(results)}')
            results[key] = self._augment(results[key], key)
        return results

    def _augment(self, image: np.ndarray, key: str) -> np.ndarray:
        if image.dtype == np.uint8:
            signed = self._apply(image.astype(np.float32) / HALF_RANGE - 1)
            return np.rint((signed + 1) * HALF_RANGE).clip(0, 255).astype(np.uint8)
        if not np.issubdtype(image.dtype, np.floating):
            raise ConfigError(f'keys: image {key!r} must be uint8 or float, but is {image.dtype}')
        return self._apply(image)

    def _apply(self, image: np.ndarray) -> np.ndarray:
        """Augment an (H, W[, C]) image in [-1, 1]."""
        batch = torch.from_numpy(np.atleast_3d(image)).permute(2, 0, 1)[None]
        augmented = diff_augment(batch, self.policy)[0].permute(1, 2, 0)
        return augmented.reshape(image.shape).contiguous().numpy()

    def __repr__(self) -> str:
        return f'{type(self).__name__}(keys={self.keys}, policy={self.policy!r})'
