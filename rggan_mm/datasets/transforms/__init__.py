"""DiffAugment as a function, a module and a pipeline transform."""

from rggan_mm.datasets.transforms.diffaug import POLICIES, DiffAugment, diff_augment
from rggan_mm.datasets.transforms.diffaug_transform import DiffAugmentTransform

__all__ = ['POLICIES', 'DiffAugment', 'DiffAugmentTransform', 'diff_augment']
