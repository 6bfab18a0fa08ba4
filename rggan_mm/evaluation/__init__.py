"""Metrics on features of images; importing this registers them with MMagic."""

from rggan_mm.evaluation.extractors import build_extractor
from rggan_mm.evaluation.feature_metric import FeatureMetric
from rggan_mm.evaluation.fid import StreamingFID
from rggan_mm.evaluation.frechet import frechet_distance
from rggan_mm.evaluation.moments import FeatureMoments

__all__ = [
    'FeatureMetric',
    'FeatureMoments',
    'StreamingFID',
    'build_extractor',
    'frechet_distance',
]
