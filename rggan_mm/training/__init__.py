"""Runs that survive: nothing here knows of RG-GAN. Importing this registers its classes."""

from .channels_last import ChannelsLastHook
from .checkpoint_hook import SafeCheckpointHook
from .data_check import DataCheckHook
from .deferred_losses import DeferredLossesHook
from .divergence import DivergenceHook
from .exact_resume import ExactResumeHook
from .mixed_precision import SafeAmpOptimWrapper
from .preemption import PreemptionHook
from .resident_images import ResidentImagesHook
from .runner import SafeRunner

__all__ = [
    'ChannelsLastHook',
    'DataCheckHook',
    'DeferredLossesHook',
    'DivergenceHook',
    'ExactResumeHook',
    'PreemptionHook',
    'ResidentImagesHook',
    'SafeAmpOptimWrapper',
    'SafeCheckpointHook',
    'SafeRunner',
]
