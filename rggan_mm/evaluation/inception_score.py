"""Inception Score from sums that pass by (Salimans et al., NeurIPS 2016)."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.settings import check_integer


class ScoreSums:
    """Sums of class probabilities and of their entropies, one row a split, in float64.

    Holds splits * (C + 2) numbers however many images it has seen. Image i is in split k
    where k * total // splits <= i < (k + 1) * total // splits, in whatever order and on
    whatever process it comes; the sums of several of these simply add.

    Args:
        classes: Number of classes C.
        total: Number of images over all processes.
        splits: Number of splits. Default: 10.
        device: Where the sums live. Default: ``'cpu'``.

    Raises:
        ConfigError: ``splits`` (the setting ``is_splits``) is no integer from 1 to ``total``.
    """

    def __init__(
        self, classes: int, total: int, splits: int = 10, device: torch.device | str = 'cpu'
    ):
        check_integer('is_splits', splits, 1)
        if splits > total:
            raise ConfigError(
                f'is_splits must be at most the number of images, {total}, but got {splits}'
            )
        self.classes, self.total, self.splits = classes, total, splits
        # Each row is [probabilities (C), entropies, count]; flat, so that one all-reduce sums it.
        self.state = torch.zeros(splits * (classes + 2), dtype=torch.float64, device=device)

    def update(self, logits: Tensor, indices: Tensor) -> None:
        """Add images; does not wait for the device.

        Args:
            logits: Scores of the classes ahead of the softmax, shape (N, C), any floating
                dtype; N may be 0.
            indices: Which images these are, shape (N,), int64, 0 to ``total`` - 1.
        """
        chances = logits.to(self.state).softmax(dim=1)
        entropies = torch.special.entr(chances).sum(dim=1, keepdim=True)
        rows = torch.cat([chances, entropies, torch.ones_like(entropies)], dim=1)
        # The largest k with k * total // splits <= i, in integers.
        splits = ((indices + 1) * self.splits - 1) // self.total
        splits = splits.to(self.state.device, non_blocking=True)
        self._rows().index_add_(0, splits, rows)

    def all_reduce(self) -> None:
        """Add up over all processes; every process then holds the total."""
        all_reduce(self.state)

    def result(self) -> tuple[float, float]:
        """Mean and population standard deviation over the splits.

        A split's score is exp(mean over its images of KL(p(y|x) || p(y))), 1 to C.

        Returns:
            Both numbers; NaN if logits held NaN or a split has no image.
        """
        sums, count = self._rows()[:, :-1], self._rows()[:, -1:]
        means = sums / count
        # The mean divergence is the entropy of the mean less the mean entropy.
        divergence = torch.special.entr(means[:, :-1]).sum(dim=1) - means[:, -1]
        scores = divergence.exp()
        return scores.mean().item(), scores.std(correction=0).item()

    def _rows(self) -> Tensor:
        return self.state.view(self.splits, self.classes + 2)
