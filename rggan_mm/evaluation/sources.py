"""Where images come from when two sets are compared outside a training run."""

import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rggan_mm.datasets.image_files import (
    Listing,
    check_background,
    list_images,
    look_at,
    read_image,
    read_like_pytorch_fid,
)
from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.images import chunks, read_ahead
from rggan_mm.evaluation.protocol import SMALLEST_COUNT

# The endings that pytorch-fid looks for, in this folder and not below it.
_PYTORCH_FID_ENDINGS = ('bmp', 'jpg', 'jpeg', 'pgm', 'png', 'ppm', 'tif', 'tiff', 'webp')


class ImageFolder(Dataset):
    """The images of a folder and of folders in it, read as a training reads them.

    What is skipped, and images with an alpha channel, are told in a warning.

    Args:
        path: The folder.
        batch_size: Images at a time, at most. Default: 50.
        num_workers: Processes that read. Default: 0.
        like_pytorch_fid: Whether files are found and read as pytorch-fid does it: endings in
            small letters, no folders in it, no EXIF orientation, no scaling of 16 bits, no
            alpha. Default: False.
        background: Colour behind transparent pixels. Default: ``'white'``.

    Raises:
        ConfigError: Fewer than two images, or a damaged header; while reading: a file that is
            no image.
    """

    def __init__(
        self,
        path: Path,
        batch_size: int = 50,
        num_workers: int = 0,
        like_pytorch_fid: bool = False,
        background: Any = 'white',
    ):
        self.path = Path(path)
        self.like_pytorch_fid = like_pytorch_fid
        self.background = check_background(background)
        listing = self._list()
        if len(listing.names) < SMALLEST_COUNT:
            raise ConfigError(f'{listing.summary()}; there must be at least {SMALLEST_COUNT}')
        self.files = [self.path / name for name in listing.names]
        self.batch_size = batch_size
        self.num_workers = num_workers
        self._tell(listing)

    @property
    def name(self) -> str:
        """Name that stands beside the numbers: ``'folder samples'``."""
        return f'folder {self.path.name}'

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        """One image, uint8 RGB, shape (3, H, W)."""
        return torch.from_numpy(self._pixels(self.files[index])).permute(2, 0, 1)

    def batches(self) -> Iterator[Tensor]:
        """RGB images in [0, 1], shape (N, 3, H, W), in order; N is less for large images."""
        images = read_ahead(self, range(len(self)), self.num_workers)
        for _, same in groupby(images, key=lambda image: image.shape):
            for chunk in chunks(same, self.batch_size, Tensor.numel):
                yield torch.stack(chunk).float().div_(255)

    def _list(self) -> Listing:
        if not self.path.is_dir():
            raise ConfigError(f'{self.path}: there is no such folder')
        if not self.like_pytorch_fid:
            return list_images(self.path)
        found = {file for end in _PYTORCH_FID_ENDINGS for file in self.path.glob(f'*.{end}')}
        listing = Listing(self.path, [file.name for file in sorted(found)])
        for other in set(self.path.iterdir()) - found:
            listing.leave_out(other, 'that pytorch-fid does not read')
        return listing

    def _pixels(self, path: Path) -> np.ndarray:
        if self.like_pytorch_fid:
            return read_like_pytorch_fid(path)
        return read_image(path, self.background)

    def _tell(self, listing: Listing) -> None:
        looks = look_at(self.files)
        if listing.skipped:
            warnings.warn(listing.summary(), stacklevel=3)
        if looks.transparent:
            put = 'dropped' if self.like_pytorch_fid else f'put on background {self.background}'
            warnings.warn(
                f'{self.path}: {looks.transparent} of {looks.seen} images have an alpha channel: '
                f'{put}',
                stacklevel=3,
            )
