"""Kernel distance of two sets of features (Binkowski et al., ICLR 2018)."""

import torch
from torch import Tensor

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.settings import check_integer


def kernel_distance(
    real: Tensor, fake: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Unbiased squared MMD with the kernel (x·y / D + 1)³, over random subsets, in float64.

    Memory beside the features: two subsets and a few matrices of ``subset_size``². On one
    CPU core the defaults take about half a minute with D = 2048.

    Args:
        real: Features, shape (M, D).
        fake: Features, shape (N, D). All is computed on their device.
        subsets: Number of pairs of subsets. Default: 100.
        subset_size: Images in a subset, drawn without replacement; min(M, N) if that is
            less. Default: 1000.
        seed: Of the draws, which leave the global random stream alone. Default: 0.

    Returns:
        Mean, about 0 or slightly less for equal distributions, and population standard
        deviation over the subsets; NaN if a feature drawn is NaN.

    Raises:
        ConfigError: ``subsets`` (the setting ``kid_subsets``) below 1, ``subset_size``
            (``kid_subset_size``) below 2, or fewer than 2 features in a set.
    """
    check_integer('kid_subsets', subsets, 1)
    check_integer('kid_subset_size', subset_size, 2)
    size = min(subset_size, len(real), len(fake))
    if size < 2:
        raise ConfigError(
            f'kid needs at least 2 images a set, but got {len(real)} real and {len(fake)} fake'
        )
    generator = torch.Generator().manual_seed(seed)
    device = fake.device
    values = [
        _squared_mmd(
            _draw(real, size, generator).to(device), _draw(fake, size, generator).to(device)
        )
        for _ in range(subsets)
    ]
    values = torch.stack(values)
    return values.mean().item(), values.std(correction=0).item()


def _draw(features: Tensor, size: int, generator: torch.Generator) -> Tensor:
    chosen = torch.randperm(len(features), generator=generator)[:size]
    return features[chosen.to(features.device)].double()


def _squared_mmd(real: Tensor, fake: Tensor) -> Tensor:
    """Unbiased squared MMD of two sets of equal size m, shapes (m, D)."""
    size = len(real)
    within = _sum_of_others(_kernel(real, real)) + _sum_of_others(_kernel(fake, fake))
    return within / (size * (size - 1)) - 2 * _kernel(real, fake).mean()


def _sum_of_others(kernel: Tensor) -> Tensor:
    """Sum without the diagonal, where an image meets itself."""
    return kernel.sum() - kernel.trace()


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    base = (first @ second.T).div_(first.size(1)).add_(1)
    return base.square().mul_(base)
