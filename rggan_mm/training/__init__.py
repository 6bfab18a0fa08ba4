"""Runs that survive: nothing here knows of RG-GAN. Importing this registers the hooks."""

from .channels_last import ChannelsLastHook
from .data_check import DataCheckHook
from .divergence import DivergenceHook
from .exact_resume import ExactResumeHook
from .preemption import PreemptionHook

__all__ = [
    'ChannelsLastHook',
    'DataCheckHook',
    'DivergenceHook',
    'ExactResumeHook',
    'PreemptionHook',
]
