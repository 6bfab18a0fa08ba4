"""Data sets; importing this registers them and the transforms with MMagic."""

from rggan_mm.compat import shims

shims.apply()

from rggan_mm.datasets import transforms
from rggan_mm.datasets.cifar10 import CIFAR10Subset
from rggan_mm.datasets.digits import Digits
from rggan_mm.datasets.image_datasets import GrowingImageFiles, ImageFiles, ReadImageFile
from rggan_mm.datasets.subset import select_indices, subset_size

__all__ = [
    'CIFAR10Subset',
    'Digits',
    'GrowingImageFiles',
    'ImageFiles',
    'ReadImageFile',
    'select_indices',
    'subset_size',
    'transforms',
]
