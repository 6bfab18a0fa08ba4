"""Small handwritten digits that need no download: the 1,797 of scikit-learn.

Source: the test part of the UCI data set "Optical Recognition of Handwritten
Digits", 8x8 pixels with values 0 to 16, as ``sklearn.datasets.load_digits`` ships it.
"""

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from mmagic.datasets import BasicConditionalDataset
from mmagic.registry import DATASETS

from rggan_mm.datasets.subset import (
    check_ratio,
    check_seed,
    check_subset,
    select_indices,
    subset_name,
)
from rggan_mm.errors import ConfigError

IMAGE_SIZES = (16, 32)
SPLITS = ('train', 'test')
TEST_EVERY = 5  # one image in five is a test image


def split_indices(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split image indices into train and test, the classes in proportion.

    Args:
        labels: Class of each image, shape (n,).

    Returns:
        Train indices and test indices, both in one fixed shuffled order; a fifth
        of the images, rounded up, are test images.
    """
    order = np.random.RandomState(0).permutation(len(labels))
    by_class = np.argsort(labels[order], kind='stable')
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[by_class[::TEST_EVERY]] = True
    return order[~is_test], order[is_test]


def enlarge(images: np.ndarray, image_size: int) -> np.ndarray:
    """Enlarge 8x8 digits smoothly and repeat the grey value in three channels.

    Args:
        images: Grey values 0 to 16, shape (n, 8, 8).
        image_size: Height and width of the result in pixels.

    Returns:
        uint8 images, 0 to 255, shape (n, image_size, image_size, 3).
    """
    grey = torch.from_numpy(images).double()[:, None] * (255 / 16)
    # Bicubic keeps strokes crisper than bilinear; it can overshoot, hence the clamp.
    grey = F.interpolate(grey, size=(image_size, image_size), mode='bicubic', align_corners=False)
    grey = grey.clamp(0, 255).round().to(torch.uint8)
    return grey.permute(0, 2, 3, 1).repeat(1, 1, 1, 3).numpy()


@DATASETS.register_module()
class Digits(BasicConditionalDataset):
    """Handwritten digits, in the item format of MMagic's ``CIFAR10``.

    1,437 images are for training and 360 for testing, split once and for all with
    the classes in proportion. Both parts lie in a fixed shuffled order, so that the
    first N of either are a fair sample. An item ahead of the pipeline is
    ``dict(gt=uint8 (H, W, 3), gt_label=int, gt_channel_order='RGB')``; the pipeline
    ``[dict(type='PackInputs')]`` makes of it what MMagic's GANs train on.

    Args:
        split: ``'train'`` or ``'test'``. Default: ``'train'``.
        image_size: Height and width in pixels, 16 or 32. Default: 32.
        data_ratio: Share of the split to use, in (0, 1]. Default: 1.0.
        subset: How to choose that share: ``'first'`` (as published), ``'random'``
            or ``'stratified'``. Default: ``'first'``.
        subset_seed: Seed of ``'random'`` and ``'stratified'``. Default: 0.
        metainfo: Additions to the metainfo (``classes`` is set). Default: None.
        **kwargs: Other arguments of ``mmengine.dataset.BaseDataset``: ``pipeline``,
            ``indices``, ``serialize_data``, ...

    Raises:
        ConfigError: An argument has a value that is not listed here, or the ratio
            leaves no image.
    """

    METAINFO: ClassVar[dict] = {'classes': tuple(str(digit) for digit in range(10))}

    def __init__(
        self,
        split: str = 'train',
        image_size: int = 32,
        data_ratio: float = 1.0,
        subset: str = 'first',
        subset_seed: int = 0,
        metainfo: dict | None = None,
        **kwargs,
    ):
        if split not in SPLITS:
            raise ConfigError(f'split must be one of {", ".join(SPLITS)}, but got {split!r}')
        if image_size not in IMAGE_SIZES:
            raise ConfigError(f'image_size must be 16 or 32, but got {image_size!r}')
        self.split = split
        self.image_size = image_size
        self.data_ratio = check_ratio(data_ratio)
        self.subset = check_subset(subset)
        self.subset_seed = check_seed(subset_seed)
        kwargs.setdefault('test_mode', split == 'test')
        # The base class wants a place on disk; these images lie in a package.
        super().__init__(metainfo=metainfo, data_prefix={'root': 'sklearn'}, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read, choose and enlarge the images of the split.

        Returns:
            One dict an image with ``gt``, ``gt_label`` and ``gt_channel_order``.
        """
        from sklearn.datasets import load_digits  # takes a second: only when needed

        digits = load_digits()
        part = split_indices(digits.target)[SPLITS.index(self.split)]
        labels = digits.target[part]
        chosen = select_indices(labels, self.data_ratio, self.subset, self.subset_seed)
        images = enlarge(digits.images[part[chosen]], self.image_size)
        return [
            {'gt': image, 'gt_label': int(label), 'gt_channel_order': 'RGB'}
            for image, label in zip(images, labels[chosen], strict=True)
        ]

    @property
    def name(self) -> str:
        """Name with split and, where one was chosen, the subset: 'Digits test'."""
        split = f'{type(self).__name__} {self.split}'
        return subset_name(split, self.data_ratio, self.subset, self.subset_seed)

    def extra_repr(self) -> list[str]:
        """Lines that ``repr`` shows beside the number of images and classes."""
        return [f'Images: \t{self.name}, {self.image_size}x{self.image_size}']
