"""A data set that is missing on one machine; imported by a run that a test starts."""

import errno
import os

from mmengine.registry import DATASETS

from rggan_mm.datasets import Digits


@DATASETS.register_module()
class DigitsMissingOnRankOne(Digits):
    """The digits, except in the second process."""

    def __init__(self, *args, **kwargs):
        if os.environ['RANK'] == '1':
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), 'disk/of/rank_1')
        super().__init__(*args, **kwargs)
