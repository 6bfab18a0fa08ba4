"""MMEngine hooks of RG-GAN; importing this registers them in HOOKS."""

from .curves import CurvesHook
from .dense_merge import DenseMergeHook
from .diff_augment import DiffAugmentHook
from .dynamic_pruning import DynamicPruningHook
from .groups import hooks_of
from .regeneration import RegenerationHook
from .sample_grid import SampleGridHook

__all__ = [
    'CurvesHook',
    'DenseMergeHook',
    'DiffAugmentHook',
    'DynamicPruningHook',
    'RegenerationHook',
    'SampleGridHook',
    'hooks_of',
]
