"""What metrics need to know of one set of images, gathered batch by batch."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rggan_mm.evaluation.extractors import can_classify, check_features
from rggan_mm.evaluation.inception_score import ScoreSums
from rggan_mm.evaluation.kept_features import KeptFeatures
from rggan_mm.evaluation.moments import FeatureMoments
from rggan_mm.evaluation.settings import Settings

FEATURES = 'features'
CLASSES = 'classes'


@dataclass
class Statistics:
    """A set of images, as the metrics see it.

    Attributes:
        count: Number of images; None if a file does not say.
        mean: Mean of the features, shape (D,), float64.
        cov: Covariance of the features, shape (D, D), float64.
        features: Features of a fixed choice of the images, shape (n, D), float32; None
            unless a metric needs them.
        score: Inception Score and its standard deviation; None unless asked for.
    """

    count: int | None
    mean: Tensor
    cov: Tensor
    features: Tensor | None = None
    score: tuple[float, float] | None = None


@dataclass(frozen=True)
class FeatureSpace:
    """Sizes of what an extractor gives, and where it gives it.

    Attributes:
        dim: Number of features D.
        classes: Number of classes; 0 if the extractor cannot classify.
        device: Device of the features.
    """

    dim: int
    classes: int
    device: torch.device

    @classmethod
    @torch.no_grad()
    def probe(cls, extractor: nn.Module, images: Tensor) -> 'FeatureSpace':
        """Learn the sizes from images in [0, 1], shape (N, 3, H, W).

        Raises:
            ConfigError: The extractor gives something else than (N, D).
        """
        features = check_features(extractor(images), images, extractor)
        classes = extractor.classify(features).size(1) if can_classify(extractor) else 0
        return cls(features.size(1), classes, features.device)


class Collector:
    """Takes each image through the extractor once and keeps what was asked for.

    Under several processes, process r holds the images r, r + world, r + 2 world, ...;
    :meth:`finish` then gives what one process would have found.

    Args:
        extractor: Feature extractor.
        space: Its sizes.
        total: Number of images over all processes.
        needs: Beside mean and covariance: ``'features'`` and ``'classes'``, or less.
        settings: How many features are kept, how many splits a score has.
    """

    def __init__(
        self,
        extractor: nn.Module,
        space: FeatureSpace,
        total: int,
        needs: Collection[str],
        settings: Settings,
    ):
        self.extractor = extractor
        device = space.device
        self.moments = FeatureMoments(space.dim, device)
        self.kept = self.scores = None
        if FEATURES in needs:
            self.kept = KeptFeatures(total, settings.kept, space.dim, device)
        if CLASSES in needs:
            self.scores = ScoreSums(space.classes, total, settings.is_splits, device)

    @torch.no_grad()
    def add(self, images: Tensor, indices: Tensor) -> None:
        """Take in images.

        Args:
            images: RGB in [0, 1], shape (N, 3, H, W); N may be 0.
            indices: Which images of the set these are, shape (N,), int64, on the CPU.
        """
        if len(images) == 0:
            return
        features = self.extractor(images)
        self.moments.update(features)
        if self.kept is not None:
            self.kept.update(features, indices)
        if self.scores is not None:
            self.scores.update(self.extractor.classify(features), indices)

    def finish(self) -> Statistics:
        """Add up over all processes; the same on each of them."""
        self.moments.all_reduce()
        statistics = Statistics(self.moments.count, *self.moments.mean_cov())
        if self.kept is not None:
            self.kept.all_gather()
            statistics.features = self.kept.features()
        if self.scores is not None:
            self.scores.all_reduce()
            statistics.score = self.scores.result()
        return statistics
