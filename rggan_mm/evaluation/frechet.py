"""Fréchet distance of two Gaussians.

Formula: Dowson & Landau 1982; as a measure of GANs: Heusel et al., NeurIPS 2017.
"""

import torch
from torch import Tensor

EPS = torch.finfo(torch.float64).eps
# Doubt about the trace of the root, as a part of the traces of the covariances, up to which
# the fast way stands.
TOLERANCE = 1e-9
# Square of the smallest diagonal entry of a Cholesky factor, as a part of the largest
# variance: below it the covariance counts as singular.
SMALLEST_PIVOT = 1e-10


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """|m1 - m2|² + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)), in float64.

    Exact also where a covariance is singular (fewer images than features), so nothing is
    added to diagonals. Well-conditioned covariances take the fast way of one Cholesky
    factor and one list of eigenvalues; others take up to five times as long.

    Args:
        mean1: Mean of the first, shape (D,).
        cov1: Covariance of the first, shape (D, D): symmetric, without negative
            eigenvalues but for rounding.
        mean2: Mean of the second, shape (D,). All is computed on its device.
        cov2: Covariance of the second, shape (D, D).

    Returns:
        The distance, at least 0 but for rounding; NaN if an input is not finite,
        or so large that products of it are not.
    """
    moments = [value.to(mean2.device, torch.float64) for value in (mean1, cov1, mean2, cov2)]
    # The decompositions raise on NaN; an honest NaN serves the caller better.
    if not all(torch.isfinite(value).all() for value in moments):
        return float('nan')
    mean1, cov1, mean2, cov2 = moments
    traces = cov1.trace() + cov2.trace()
    try:
        cross = _trace_of_root(cov1, cov2, TOLERANCE * traces)
    except torch.linalg.LinAlgError:  # finite numbers that overflow when multiplied
        return float('nan')
    return ((mean1 - mean2).square().sum() + traces - 2 * cross).item()


def _trace_of_root(cov1: Tensor, cov2: Tensor, tolerance: Tensor) -> Tensor:
    """tr((C1 C2)^(1/2)), real by construction.

    With C1 = A Aᵀ and C2 = B Bᵀ it is the sum of the singular values of Aᵀ B, for any such
    A and B. Their squares are the eigenvalues of Aᵀ C2 A, found in a quarter of the time.
    """
    factor = _factor(cov1)
    squares = torch.linalg.eigvalsh(factor.T @ cov2 @ factor).clamp(min=0)
    roots = squares.sqrt()
    # Rounding moves a square by eps times the largest, so its root by that over 2 root:
    # small roots of squares are in doubt where singular values are not.
    doubt = EPS * squares.norm() * (0.5 / roots).sum()
    if doubt <= tolerance:
        return roots.sum()
    return torch.linalg.svdvals(factor.T @ _factor(cov2)).sum()


def _factor(cov: Tensor) -> Tensor:
    """A factor F, shape (D, rank), with F Fᵀ = cov, shape (D, D)."""
    factor, failed = torch.linalg.cholesky_ex(cov)
    # Of a singular matrix it may succeed too, with rounding noise for the zeros.
    smallest = factor.diagonal().min().square()
    if failed == 0 and smallest > SMALLEST_PIVOT * cov.diagonal().max():
        return factor
    values, vectors = torch.linalg.eigh(cov)
    # Zero eigenvalues come out as rounding noise, whose root would be far from 0.
    kept = values > values.abs().max() * len(values) * EPS
    return vectors[:, kept] * values[kept].sqrt()
