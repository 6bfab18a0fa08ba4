"""Where images come from when two sets are compared outside a training run."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.protocol import SMALLEST_COUNT

# The endings that pytorch-fid looks for, in this folder and not below it.
ENDINGS = ('bmp', 'jpg', 'jpeg', 'pgm', 'png', 'ppm', 'tif', 'tiff', 'webp')


class ImageFolder(Dataset):
    """The images of one folder, as pytorch-fid reads them; folders in it are not searched.

    Args:
        path: The folder.
        batch_size: Images at a time. Default: 50.
        num_workers: Processes that read. Default: 0.

    Raises:
        ConfigError: Fewer than two images; while reading: a file that is no image.
    """

    def __init__(self, path: Path, batch_size: int = 50, num_workers: int = 0):
        self.path = Path(path)
        self.files = sorted(file for end in ENDINGS for file in self.path.glob(f'*.{end}'))
        if len(self.files) < SMALLEST_COUNT:
            raise ConfigError(
                f'{path} holds {len(self.files)} images ({", ".join(ENDINGS)}); there must be at '
                f'least {SMALLEST_COUNT}, and folders in it are not searched'
            )
        self.batch_size = batch_size
        self.num_workers = num_workers

    @property
    def name(self) -> str:
        """Name that stands beside the numbers: ``'folder samples'``."""
        return f'folder {self.path.name}'

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        """One image, uint8 RGB, shape (3, H, W)."""
        path = self.files[index]
        try:
            pixels = np.array(Image.open(path).convert('RGB'))
        except (UnidentifiedImageError, OSError) as error:
            raise ConfigError(f'image {path} is not readable: {error}') from error
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def batches(self) -> Iterator[Tensor]:
        """RGB images in [0, 1], shape (N, 3, H, W), in order; N is less where sizes change."""
        loader = DataLoader(
            self,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            collate_fn=list,
            generator=torch.Generator(),
        )
        for images in _with_short_errors(loader):
            for _, group in groupby(images, key=lambda image: image.shape):
                yield torch.stack(list(group)).float() / 255


def _with_short_errors(loader: DataLoader) -> Iterator[list[Tensor]]:
    """The batches of a loader; an error in a worker process without its traceback."""
    try:
        yield from loader
    except ConfigError as error:
        raise ConfigError(str(error).splitlines()[-1].rpartition('ConfigError: ')[2]) from error
