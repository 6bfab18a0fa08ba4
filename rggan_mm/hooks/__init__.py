"""MMEngine hooks of RG-GAN; importing this registers them in HOOKS."""

from .channels_last import ChannelsLastHook
from .curves import CurvesHook
from .data_check import DataCheckHook
from .dense_merge import DenseMergeHook
from .diff_augment import DiffAugmentHook
from .divergence import DivergenceHook
from .dynamic_pruning import DynamicPruningHook
from .exact_resume import ExactResumeHook
from .groups import hooks_of, read_groups
from .preemption import PreemptionHook
from .regeneration import RegenerationHook
from .sample_grid import SampleGridHook

__all__ = [
    'ChannelsLastHook',
    'CurvesHook',
    'DataCheckHook',
    'DenseMergeHook',
    'DiffAugmentHook',
    'DivergenceHook',
    'DynamicPruningHook',
    'ExactResumeHook',
    'PreemptionHook',
    'RegenerationHook',
    'SampleGridHook',
    'hooks_of',
]

read_groups()
