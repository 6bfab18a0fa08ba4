"""MMEngine hooks of RG-GAN; importing this registers them in HOOKS."""

from .average_half_life import AverageHalfLifeHook
from .cuda_graphs import CudaGraphHook
from .curves import CurvesHook
from .dense_merge import DenseMergeHook
from .diff_augment import DiffAugmentHook
from .dynamic_pruning import DynamicPruningHook
from .groups import hooks_of
from .regeneration import RegenerationHook
from .sample_grid import SampleGridHook

__all__ = [
    'AverageHalfLifeHook',
    'CudaGraphHook',
    'CurvesHook',
    'DenseMergeHook',
    'DiffAugmentHook',
    'DynamicPruningHook',
    'RegenerationHook',
    'SampleGridHook',
    'hooks_of',
]
