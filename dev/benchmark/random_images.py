"""Images that need no data set: noise, in the item format of MMagic's GANs."""

from typing import Any

import torch
from mmagic.registry import DATASETS
from mmengine.dataset import BaseDataset

CLASSES = 10


@DATASETS.register_module()
class RandomImages(BaseDataset):
    """Noise in the format of MMagic's ``CIFAR10``, held in memory.

    Args:
        image_size: Height and width in pixels.
        channels: Number of channels. Default: 3.
        length: Number of images. Default: 512.
        **kwargs: Other arguments of ``mmengine.dataset.BaseDataset``, such as ``pipeline``.
    """

    def __init__(
        self, image_size: int, channels: int = 3, length: int = 512, **kwargs: Any
    ) -> None:
        shape = (length, image_size, image_size, channels)
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(256, shape, generator=generator, dtype=torch.uint8).numpy()
        super().__init__(serialize_data=False, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One item an image; classes take turns."""
        return [
            {'gt': image, 'gt_label': i % CLASSES, 'gt_channel_order': 'BGR'}
            for i, image in enumerate(self.images)
        ]
