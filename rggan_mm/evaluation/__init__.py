"""Metrics on features of images; importing this registers them with MMagic."""

from rggan_mm.compat import shims

shims.apply()

from rggan_mm.evaluation.extractors import build_extractor
from rggan_mm.evaluation.frechet import frechet_distance
from rggan_mm.evaluation.gan_metrics import GANMetrics
from rggan_mm.evaluation.inception import InceptionExtractor
from rggan_mm.evaluation.moments import FeatureMoments

__all__ = [
    'FeatureMoments',
    'GANMetrics',
    'InceptionExtractor',
    'build_extractor',
    'frechet_distance',
]
