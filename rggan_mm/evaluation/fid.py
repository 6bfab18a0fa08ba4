"""Fréchet distance between generated and real images."""

import torch
from mmagic.registry import METRICS

from rggan_mm.evaluation.feature_metric import FeatureMetric
from rggan_mm.evaluation.frechet import frechet_distance
from rggan_mm.evaluation.moments import FeatureMoments


@METRICS.register_module()
class StreamingFID(FeatureMetric):
    """Fréchet distance of features, from sums that do not grow with the images.

    Method: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium", NeurIPS 2017, with any feature extractor. Unless that is the
    Inception network of the paper the number is no "FID" of the literature; the key
    (``digits/fid``) says whose it is. Smaller is better; NaN or inf if the features are
    not finite, so that a training that diverged goes on to be logged.

    ::

        val_evaluator = dict(
            type='Evaluator', metrics=[dict(type='StreamingFID', fake_nums=2000)])

    Arguments and errors: see :class:`FeatureMetric`.
    """

    value_names = ('fid',)

    def new_accumulator(self, dim: int, device: torch.device) -> FeatureMoments:
        """Sums of features and their products."""
        return FeatureMoments(dim, device)

    def compare(self, real: FeatureMoments, fake: FeatureMoments) -> dict[str, float]:
        """Fréchet distance of the two sets of features, as ``fid``."""
        return {'fid': frechet_distance(*real.mean_cov(), *fake.mean_cov())}
