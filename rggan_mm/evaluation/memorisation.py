"""Whether samples are copies of the training images.

With few images a FID against them cannot tell: a generator that repeats them has the best.
Meehan, Chaudhuri and Dasgupta (AISTATS 2020) call it data-copying when samples lie closer to
the training images than other images of the same kind do. They compare with a held-out set;
where there is none, the training images' distances among each other stand in for it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rggan_mm.evaluation.neighbours import squared_distances


def memorisation(real: Tensor, fake: Tensor, block: int = 1024) -> float:
    """Share of the samples that are closer to a training image than is usual among those.

    The distance of a sample is that to its nearest training image; usual is the median
    distance of a training image to its nearest other one. Samples that are as new as one more
    image of the kind give 0.5, copies 1, samples far from all training images 0: a low
    number alone is no praise.

    Args:
        real: Features of the training images, shape (M, D), M at least 2.
        fake: Features of the samples, shape (N, D). All is computed on their device.
        block: How many images are compared with all others at a time. Default: 1024.

    Returns:
        The share, 0 to 1; NaN if a feature is not finite.
    """
    real, fake = real.to(fake.device, torch.float64), fake.double()
    if not (real.isfinite().all() and fake.isfinite().all()):
        return float('nan')
    centre = real.mean(dim=0)  # squared distances lose the fewest digits around the origin
    real, fake = real - centre, fake - centre
    usual = _nearest(real, real, block, same=True).quantile(0.5)
    return (_nearest(fake, real, block) < usual).double().mean().item()


def not_of_training(values: Sequence[str], reference: str, reports: Sequence[str]) -> str | None:
    """Says that nothing that is compared with is called training images.

    Args:
        values: Names of values.
        reference: Name of the real images.
        reports: Names of those that are reported beside them.

    Returns:
        One line; None where there is nothing to say.
    """
    named = any('train' in name.lower() for name in (reference, *reports))
    if 'memorisation' not in values or named:
        return None
    return (
        f'memorisation: it compares with {reference!r}, whose name does not say train; set '
        'reports=dict(train=TRAINING_DATA_SET), which gives train/memorisation, or, if these are '
        "the training images, reference='... train'"
    )


def _nearest(first: Tensor, second: Tensor, block: int, same: bool = False) -> Tensor:
    """Distance of each of the first to the nearest of the second, shape (N,)."""
    nearest = []
    for rows, distances in squared_distances(first, second, block):
        if same:
            distances[:, rows].fill_diagonal_(torch.inf)
        nearest.append(distances.amin(dim=1))
    return torch.cat(nearest).clamp(min=0).sqrt()
