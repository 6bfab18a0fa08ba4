"""Features of a fixed choice of images, for metrics that compare images with images."""

import numpy as np
import torch
from mmengine.dist import all_reduce
from torch import Tensor

from rggan_mm.evaluation.settings import check_integer


class KeptFeatures:
    """Keeps the features of min(total, limit) of the images 0 to ``total`` - 1.

    The choice is random, because data sets are often sorted by class, but the same
    everywhere. Holds min(total, limit) * D * 4 bytes, from the start, on ``device``.

    Args:
        total: Number of images over all processes, at least 1.
        limit: Largest number of features to keep, at least 1.
        dim: Number of features D of one image.
        device: Where the features are kept. Default: ``'cpu'``.

    Raises:
        ConfigError: ``total`` or ``limit`` (the setting ``kept``) is no integer of at least 1.
    """

    def __init__(self, total: int, limit: int, dim: int, device: torch.device | str = 'cpu'):
        check_integer('total', total, 1)
        check_integer('kept', limit, 1)
        # NumPy promises never to change this stream; torch does not.
        chosen = np.random.RandomState(0).permutation(total)[:limit]
        self._chosen = torch.from_numpy(np.sort(chosen)).long()
        self._seen = torch.zeros(len(chosen), dtype=torch.int64)
        self._kept = torch.zeros(len(chosen), dim, dtype=torch.float32, device=device)

    def update(self, features: Tensor, indices: Tensor) -> None:
        """Keep those features that are in the choice; does not wait for the device.

        Args:
            features: Shape (N, D), any floating dtype; N may be 0.
            indices: Which images these are, shape (N,), int64, on the CPU. An image comes
                once, on one process.
        """
        places = torch.searchsorted(self._chosen, indices).clamp(max=len(self._chosen) - 1)
        rows = (self._chosen[places] == indices).nonzero().flatten()
        places = places[rows]
        self._seen[places] = 1
        kept = features[rows.to(features.device, non_blocking=True)].to(self._kept)
        self._kept[places.to(self._kept.device, non_blocking=True)] = kept

    def all_gather(self) -> None:
        """Give every process the features of all of them; call it once, at the end."""
        # Each row is held by one process and is zero on the others.
        all_reduce(self._seen)
        all_reduce(self._kept)

    def features(self) -> Tensor:
        """The features that were seen, shape (n, D), float32, by ascending index."""
        seen = self._seen.nonzero().flatten()
        return self._kept[seen.to(self._kept.device)]
