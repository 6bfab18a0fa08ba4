"""Fréchet distance of two Gaussians.

Formula: Dowson & Landau 1982; as a measure of GANs: Heusel et al., NeurIPS 2017.
"""

import torch
from torch import Tensor


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """|m1 - m2|² + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)), in float64.

    The last trace is the sum of the singular values of C1^(1/2) C2^(1/2): for
    covariances that is the same number, real by construction, and exact where a
    matrix is singular (fewer images than features), so nothing is added to diagonals.

    Args:
        mean1: Mean of the first, shape (D,).
        cov1: Covariance of the first, shape (D, D): symmetric, without negative
            eigenvalues but for rounding.
        mean2: Mean of the second, shape (D,).
        cov2: Covariance of the second, shape (D, D).

    Returns:
        The distance, at least 0 but for rounding; NaN if an input is not finite.
    """
    mean1, cov1, mean2, cov2 = (value.double() for value in (mean1, cov1, mean2, cov2))
    # The decompositions raise on NaN; an honest NaN serves the caller better.
    if not all(torch.isfinite(value).all() for value in (mean1, cov1, mean2, cov2)):
        return float('nan')
    cross = torch.linalg.svdvals(_square_root(cov1) @ _square_root(cov2)).sum()
    distance = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * cross
    return distance.item()


def _square_root(cov: Tensor) -> Tensor:
    """Symmetric square root of a covariance of shape (D, D)."""
    values, vectors = torch.linalg.eigh(cov)
    # Zero eigenvalues come out as rounding noise, whose root would be far from 0.
    noise = values.abs().max() * len(values) * torch.finfo(values.dtype).eps
    values = torch.where(values > noise, values, torch.zeros_like(values))
    return (vectors * values.sqrt()) @ vectors.T
