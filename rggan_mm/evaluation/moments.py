"""Mean and covariance of features that pass by, in memory that does not grow."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor


class FeatureMoments:
    """Sums of features and of their products, in float64 on the features' device.

    Holds D + D² + 1 numbers however many features it has seen. The sums of several
    of these (other batches, other processes) simply add.

    Args:
        dim: Number of features D of one image.
        device: Where the sums live. Default: ``'cpu'``.
    """

    def __init__(self, dim: int, device: torch.device = 'cpu'):
        self.dim = dim
        # One flat vector [count, sum (D), products (D²)], so that one all-reduce sums it.
        self.state = torch.zeros(1 + dim + dim * dim, dtype=torch.float64, device=device)

    @property
    def count(self) -> int:
        """Number of feature vectors seen (reads it from the device)."""
        return int(self.state[0].item())

    def update(self, features: Tensor) -> None:
        """Add features.

        Args:
            features: Shape (N, D), any floating dtype; N may be 0.
        """
        features = features.to(self.state)
        self.state[0] += features.size(0)
        self.state[1 : 1 + self.dim] += features.sum(dim=0)
        self.state[1 + self.dim :] += (features.T @ features).flatten()

    def merge(self, other: 'FeatureMoments') -> None:
        """Add what another one with the same D has seen."""
        self.state += other.state.to(self.state.device)

    def all_reduce(self) -> None:
        """Add up over all processes; every process then holds the total."""
        all_reduce(self.state)

    def mean_cov(self) -> tuple[Tensor, Tensor]:
        """Mean, shape (D,), and unbiased covariance, shape (D, D), in float64.

        Both hold NaN if too few vectors were seen: none, or for the covariance one.
        """
        count = self.state[0]
        mean = self.state[1 : 1 + self.dim] / count
        products = self.state[1 + self.dim :].view(self.dim, self.dim)
        cov = (products - count * torch.outer(mean, mean)) / (count - 1)
        return mean, cov
