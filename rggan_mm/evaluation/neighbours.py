"""How two sets of features lie among each other's nearest neighbours.

Precision and recall: Kynkäänniemi et al., NeurIPS 2019; density and coverage: Naeem et
al., ICML 2020.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.settings import check_integer

NAMES = ('precision', 'recall', 'density', 'coverage')
# By how much a radius is widened, as a part of the squared lengths: far above the
# rounding of squared distances, far below a difference between float32 features.
SLACK = 1e-12


def precision_recall(
    real: Tensor, fake: Tensor, neighbours: int = 5, block: int = 1024
) -> dict[str, float]:
    """Precision, recall, density and coverage, in float64.

    Every image has a ball that reaches to its k-th nearest neighbour in its own set,
    itself not counted; a ball contains its border. Memory: the features in float64, three
    times in all, and three matrices of ``block`` times max(M, N). Two sets of 10,000 with
    D = 2048 take about half a minute on one CPU core.

    Args:
        real: Features, shape (M, D).
        fake: Features, shape (N, D). All is computed on their device.
        neighbours: Which neighbour k gives the radius, at least 1. Default: 5.
        block: How many images are compared with all others at a time. Default: 1024.

    Returns:
        ``precision``: part of the fakes in a ball of a real; ``recall``: part of the reals
        in a ball of a fake; ``density``: mean number of real balls a fake is in, divided by
        k, 0 to M / k; ``coverage``: part of the reals with a fake in their ball. All NaN
        if a feature is not finite.

    Raises:
        ConfigError: ``neighbours`` is no integer of at least 1 and below M and N.
    """
    check_integer('neighbours', neighbours, 1)
    if neighbours >= min(len(real), len(fake)):
        raise ConfigError(
            f'neighbours must be below the numbers of images compared, {len(real)} real and '
            f'{len(fake)} fake, but got {neighbours}'
        )
    real, fake = real.to(fake.device, torch.float64), fake.double()
    # Distances from |x|² + |y|² - 2 x·y lose the fewest digits around the origin.
    centre = real.mean(dim=0)
    real, fake = real - centre, fake - centre
    if not (real.isfinite().all() and fake.isfinite().all()):
        return dict.fromkeys(NAMES, float('nan'))
    real_radii, fake_radii = (_squared_radii(x, neighbours, block) for x in (real, fake))
    return _compare(real, fake, real_radii, fake_radii, neighbours, block)


def _compare(
    real: Tensor,
    fake: Tensor,
    real_radii: Tensor,
    fake_radii: Tensor,
    neighbours: int,
    block: int,
) -> dict[str, float]:
    """The four values from squared radii, shapes (M,) and (N,)."""
    balls = torch.zeros_like(fake_radii, dtype=torch.int64)  # of reals, that a fake is in
    recalled = covered = 0
    for rows, distances in squared_distances(real, fake, block):
        in_real_ball = distances <= real_radii[rows, None]
        balls += in_real_ball.sum(dim=0)
        covered += in_real_ball.any(dim=1).sum()
        recalled += (distances <= fake_radii).any(dim=1).sum()
    values = [
        (balls > 0).sum().item() / len(fake),
        recalled.item() / len(real),
        balls.sum().item() / (len(fake) * neighbours),
        covered.item() / len(real),
    ]
    return dict(zip(NAMES, values, strict=True))


def _squared_radii(features: Tensor, neighbours: int, block: int) -> Tensor:
    """Squared distance of each to its k-th neighbour, shape (N,), with some slack."""
    nearest = []
    for rows, distances in squared_distances(features, features, block):
        distances[:, rows].fill_diagonal_(torch.inf)  # an image is no neighbour of its own
        nearest.append(distances.topk(neighbours, dim=1, largest=False).values[:, -1])
    radii = torch.cat(nearest).clamp(min=0)
    return radii + SLACK * (radii + features.square().sum(dim=1))


def squared_distances(first: Tensor, second: Tensor, block: int) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances of ``block`` of the first at a time to all of the second."""
    lengths = second.square().sum(dim=1)
    for start in range(0, len(first), block):
        rows = slice(start, min(start + block, len(first)))
        x = first[rows]
        distances = torch.addmm(lengths[None], x, second.T, alpha=-2)
        yield rows, distances.add_(x.square().sum(dim=1, keepdim=True))
