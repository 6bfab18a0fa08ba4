"""Finds what is wrong with a config before a run is built from it.

Importing this makes ``Runner.from_cfg`` check its config, in MMagic's own commands too.
"""

from rggan_mm.commands.config_errors import errors_of_config
from rggan_mm.commands.running import check_before_building, train_checked

from .check import check_config, check_training
from .memory import weights_within_memory

__all__ = [
    'check_config',
    'check_training',
    'errors_of_config',
    'train_checked',
    'weights_within_memory',
]

check_before_building()
