"""The method of RG-GAN in plain PyTorch; needs neither MMEngine nor MMagic."""

from .calibration import lam_for, steps_for, threshold_after
from .layers import LayerInfo, choose_layers, list_layers
from .masks import keep_mask, ste_mask, threshold_shape
from .phase_rule import PhaseRule
from .sparse_network import SparseLayers, SparseNetwork
from .thresholds import ThresholdOptimizer

__all__ = [
    'LayerInfo',
    'PhaseRule',
    'SparseLayers',
    'SparseNetwork',
    'ThresholdOptimizer',
    'choose_layers',
    'keep_mask',
    'lam_for',
    'list_layers',
    'ste_mask',
    'steps_for',
    'threshold_after',
    'threshold_shape',
]
