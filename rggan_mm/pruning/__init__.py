"""The method of RG-GAN in plain PyTorch; imports nothing but torch."""

from .calibration import lam_for, steps_for, threshold_after
from .folding import fold
from .keep_ratio import KeepRatio
from .layers import LayerInfo, choose_layers, list_layers
from .masks import keep_mask, regularizer, ste_mask, threshold_shape
from .phase_rule import PhaseRule
from .rggan import RGGAN
from .sparse_layers import SparseLayers
from .sparse_network import SparseNetwork, attach_average
from .thresholds import ThresholdOptimizer

__all__ = [
    'RGGAN',
    'KeepRatio',
    'LayerInfo',
    'PhaseRule',
    'SparseLayers',
    'SparseNetwork',
    'ThresholdOptimizer',
    'attach_average',
    'choose_layers',
    'fold',
    'keep_mask',
    'lam_for',
    'list_layers',
    'regularizer',
    'ste_mask',
    'steps_for',
    'threshold_after',
    'threshold_shape',
]
