"""DiffAugment: differentiable augmentation of everything a discriminator sees.

Method: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training",
NeurIPS 2020. Every draw is made on the device of the images and nothing is read back
from it, so that a training step is not held up.
"""

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError

DEFAULT_POLICY = 'color,translation,cutout'
SHIFT_RATIO = 0.125
CUTOUT_RATIO = 0.5


def diff_augment(x: Tensor, policy: str = DEFAULT_POLICY) -> Tensor:
    """Augment a batch of images; gradients flow through.

    Args:
        x: Images, shape (B, C, H, W), any floating dtype, any device; values are
            expected around 0, as in [-1, 1] (what is moved or cut away becomes 0).
        policy: Names of augmentations with commas between, applied in that order:
            ``color``, ``translation``, ``cutout``. ``''`` leaves ``x`` as it is.
            Default: all three.

    Returns:
        The augmented images: same shape, dtype and device, newly drawn for every
        image and every call from PyTorch's generator of that device.

    Raises:
        ConfigError: ``policy`` has a name that is not known.
    """
    for name in parse_policy(policy):
        for augment in POLICIES[name]:
            x = augment(x)
    return x


def parse_policy(policy: str) -> tuple[str, ...]:
    """Split a policy into the names of its augmentations.

    Args:
        policy: As for :func:`diff_augment`; blanks around names are ignored.

    Returns:
        The names, in the order given.

    Raises:
        ConfigError: ``policy`` is no string, or has a name that is not known.
    """
    if not isinstance(policy, str):
        raise ConfigError(f'policy must be a string like {DEFAULT_POLICY!r}, but got {policy!r}')
    names = tuple(name.strip() for name in policy.split(',')) if policy.strip() else ()
    unknown = [name for name in names if name not in POLICIES]
    if unknown:
        raise ConfigError(
            f'policy={policy!r} has the unknown augmentation {unknown[0]!r}; '
            f'valid are {", ".join(POLICIES)}'
        )
    return names


class DiffAugment(nn.Module):
    """:func:`diff_augment` as a module, in training and evaluation mode alike.

    Args:
        policy: As for :func:`diff_augment`. Default: all three augmentations.

    Raises:
        ConfigError: ``policy`` has a name that is not known.
    """

    def __init__(self, policy: str = DEFAULT_POLICY):
        super().__init__()
        parse_policy(policy)
        self.policy = policy

    def forward(self, x: Tensor) -> Tensor:
        """Augment images of shape (B, C, H, W); see :func:`diff_augment`."""
        return diff_augment(x, self.policy)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f'policy={self.policy!r}'


def _uniform(x: Tensor) -> Tensor:
    """One number in [0, 1) an image, shape (B, 1, 1, 1)."""
    return torch.rand(x.size(0), 1, 1, 1, dtype=x.dtype, device=x.device)


def _integers(low: int, high: int, x: Tensor) -> Tensor:
    """One integer in [low, high) an image, shape (B, 1, 1, 1)."""
    return torch.randint(low, high, (x.size(0), 1, 1), device=x.device)[..., None]


def _brightness(x: Tensor) -> Tensor:
    return x + (_uniform(x) - 0.5)


def _saturation(x: Tensor) -> Tensor:
    grey = x.mean(dim=1, keepdim=True)
    return (x - grey) * (_uniform(x) * 2) + grey


def _contrast(x: Tensor) -> Tensor:
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * (_uniform(x) + 0.5) + mean


def _indices(x: Tensor, dim: int) -> Tensor:
    """0, 1, ... along ``dim``, shape (1, 1, H, 1) or (1, 1, 1, W)."""
    shape = [1] * x.dim()
    shape[dim] = x.size(dim)
    return torch.arange(x.size(dim), device=x.device).view(shape)


def _translation(x: Tensor) -> Tensor:
    return _shift(_shift(x, 2), 3)


def _shift(x: Tensor, dim: int) -> Tensor:
    """Read every image at index + its shift along ``dim``, 0 outside."""
    limit = int(x.size(dim) * SHIFT_RATIO + 0.5)
    source = _indices(x, dim) + _integers(-limit, limit + 1, x)
    # Wrapped indices are a permutation: the backward pass adds nothing twice.
    wrapped = (source % x.size(dim)).expand_as(x)
    outside = (source < 0) | (source >= x.size(dim))
    return x.gather(dim, wrapped).masked_fill(outside, 0)


def _cutout(x: Tensor) -> Tensor:
    return x.masked_fill(_cut_band(x, 2) & _cut_band(x, 3), 0)


def _cut_band(x: Tensor, dim: int) -> Tensor:
    """True where an index along ``dim`` lies in the image's cut."""
    cut = int(x.size(dim) * CUTOUT_RATIO + 0.5)
    start = _integers(0, x.size(dim) + (1 - cut % 2), x) - cut // 2
    index = _indices(x, dim)
    return (index >= start) & (index < start + cut)


POLICIES = {
    'color': (_brightness, _saturation, _contrast),
    'translation': (_translation,),
    'cutout': (_cutout,),
}
