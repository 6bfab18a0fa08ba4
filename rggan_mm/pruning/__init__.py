"""The method of RG-GAN in plain PyTorch; needs neither MMEngine nor MMagic."""

from .layers import LayerInfo, list_layers
from .masks import keep_mask, ste_mask, threshold_shape
from .phase_rule import PhaseRule
from .selection import choose_layers
from .sparse_layers import SparseLayers
from .sparse_network import SparseNetwork
from .threshold_optimizer import ThresholdOptimizer
from .threshold_speed import lam_for, steps_for, threshold_after

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
