"""MMEngine hooks of RG-GAN and its baselines; importing this registers them in HOOKS."""

from .average_half_life import AverageHalfLifeHook
from .balance_ratio import BalanceRatioHook
from .cuda_graphs import CudaGraphHook
from .curves import CurvesHook
from .dense_merge import DenseMergeHook
from .diff_augment import DiffAugmentHook
from .dynamic_pruning import DynamicPruningHook
from .dynamic_sparse import DynamicSparseHook
from .groups import hooks_of
from .regan import ReGANHook
from .regeneration import RegenerationHook
from .sample_grid import SampleGridHook
from .static_pruning import StaticPruningHook

__all__ = [
    'AverageHalfLifeHook',
    'BalanceRatioHook',
    'CudaGraphHook',
    'CurvesHook',
    'DenseMergeHook',
    'DiffAugmentHook',
    'DynamicPruningHook',
    'DynamicSparseHook',
    'ReGANHook',
    'RegenerationHook',
    'SampleGridHook',
    'StaticPruningHook',
    'hooks_of',
]
