"""Our reader of image files in MMagic's data sets."""

import logging
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from mmagic.datasets import BasicImageDataset, GrowScaleImgDataset
from mmagic.datasets.basic_image_dataset import IMG_EXTENSIONS
from mmagic.datasets.transforms import LoadImageFromFile
from mmagic.registry import DATASETS, TRANSFORMS
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log
from mmengine.registry import DATASETS as ALL_DATASETS
from mmengine.registry import TRANSFORMS as ALL_TRANSFORMS

from rggan_mm.datasets.image_files import (
    ENDINGS,
    SQUARE,
    Looks,
    check_background,
    list_images,
    look_at,
    made_square,
    read_image,
)
from rggan_mm.datasets.subset import check_ratio, subset_size
from rggan_mm.errors import ConfigError

_STOCK_ENDINGS = (IMG_EXTENSIONS, GrowScaleImgDataset._VALID_IMG_SUFFIX)
_MODES = {'color': 'RGB', 'grayscale': 'L'}


@TRANSFORMS.register_module()
class ReadImageFile(LoadImageFromFile):
    """MMagic's LoadImageFromFile with the reader that the evaluation has.

    Args:
        key: Name of the image; its path is under ``KEY_path``.
        square: What happens to an image that is not square: ``'crop'`` takes its middle,
            ``'pad'`` adds background, None leaves it. Default: None.
        background: Colour behind transparent pixels and of padding: a name, a code or three
            integers. Default: ``'white'``.
        **kwargs: As for LoadImageFromFile. With ``imdecode_backend`` or another
            ``color_type`` than color and grayscale the pixels are MMagic's.

    Raises:
        ConfigError: An argument is wrong; while reading: a file is damaged, or no image.
    """

    def __init__(
        self, key: str, square: str | None = None, background: Any = 'white', **kwargs: Any
    ) -> None:
        super().__init__(key, **kwargs)
        if square not in SQUARE:
            raise ConfigError(f'square={square!r} must be one of {", ".join(map(str, SQUARE))}')
        self.square = square
        self.background = check_background(background)

    def _load_image(self, filename: str) -> np.ndarray:
        """One image in the order of channels that was asked for."""
        if self.imdecode_backend is None and self.color_type in _MODES:
            content = self._content(filename)
            image = read_image(filename, self.background, _MODES[self.color_type], content)
            if image.ndim == 3 and self.channel_order == 'bgr':
                image = image[..., ::-1]
        else:
            image = self._stock_image(filename)
        background = self.background[:: -1 if self.channel_order == 'bgr' else 1]
        return np.ascontiguousarray(made_square(image, self.square, background))

    def _content(self, filename: str) -> bytes | None:
        """The file's bytes; None where Pillow may open it itself."""
        if self.file_backend is None:
            self.file_backend = get_file_backend(uri=filename, backend_args=self.backend_args)
        if isinstance(self.file_backend, LocalBackend) and not self.use_cache:
            return None
        content = self.cache.get(filename)
        if content is None:
            content = self.file_backend.get(filename)
        if self.use_cache:
            self.cache[filename] = content
        return content

    def _stock_image(self, filename: str) -> np.ndarray:
        try:
            image = super()._load_image(filename)
        except Exception as error:  # of any decoder
            reason = ' '.join(str(error).split())
            raise ConfigError(f'image {filename} is not readable: {reason}') from error
        if image is None:
            raise ConfigError(f'image {filename} is not readable: it is damaged, or no image')
        return image


class _ImageBackend(LocalBackend):
    """A local disk on which a data set finds image files in the order of their names."""

    def list_dir_or_file(
        self,
        dir_path: str,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Any = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        endings = ENDINGS if suffix is None or suffix in _STOCK_ENDINGS else suffix
        endings = (endings,) if isinstance(endings, str) else endings
        listing = list_images(dir_path, recursive, endings)
        level = logging.WARNING if listing.skipped else logging.INFO
        print_log(listing.summary(), 'current', level)
        return iter(listing.names)


def _on_disk(backend: Any) -> Any:
    return _ImageBackend() if type(backend) is LocalBackend else backend


@DATASETS.register_module()
class ImageFiles(BasicImageDataset):
    """MMagic's BasicImageDataset, the images of a folder, with our list of files.

    Args:
        *args: As for BasicImageDataset.
        recursive: Whether subfolders are searched. Default: True.
        held_out: Share of the images, chosen by a fixed seed, that a training leaves to the
            evaluation: with ``test_mode`` the data set is this share, else the others. 0
            takes all images for both. Default: 0.
        **kwargs: As for BasicImageDataset; ``img_suffix``, where it is given, is compared in
            any case of letters.

    Raises:
        ConfigError: There is no image, or one whose header is damaged.
    """

    def __init__(
        self, *args: Any, recursive: bool = True, held_out: float = 0.0, **kwargs: Any
    ) -> None:
        self.held_out = held_out and check_ratio(held_out, 'held_out')
        super().__init__(*args, recursive=recursive, **kwargs)

    @property
    def name(self) -> str:
        """Name that stands beside numbers: ``'folder few_images train'``."""
        name = f'folder {Path(self.data_prefix[self.search_key]).name}'
        if self.held_out and self.test_mode:
            return f'{name} held out {self.held_out:g}'
        name += ' test' if self.test_mode else ' train'
        return f'{name} without {self.held_out:g}' if self.held_out else name

    def load_data_list(self) -> list[dict]:
        """Lists the folder by name; says what is in it."""
        self.file_backend = _on_disk(self.file_backend)
        infos = super().load_data_list()
        if not self.held_out:
            return infos
        size = subset_size(len(infos), self.held_out, 'held_out')
        held_out = set(np.random.RandomState(0).permutation(len(infos))[:size].tolist())
        return [info for i, info in enumerate(infos) if (i in held_out) == bool(self.test_mode)]

    def _get_path_list_from_folder(self) -> list[str]:
        return sorted(super()._get_path_list_from_folder())

    def full_init(self) -> None:
        """Says once how many images will be changed so that they fit."""
        if self._fully_initialized:
            return
        super().full_init()
        readers = [t for t in self.pipeline.transforms if isinstance(t, ReadImageFile)]
        if isinstance(self.file_backend, _ImageBackend) and is_main_process():
            for reader in readers:
                self._say(reader)

    def _say(self, reader: ReadImageFile) -> None:
        infos = (self.get_data_info(index) for index in range(len(self)))
        looks = look_at([info[f'{reader.key}_path'] for info in infos])
        for line in _lines(looks, reader):
            print_log(f'{self.name}: {line}', 'current')


def _lines(looks: Looks, reader: ReadImageFile) -> Iterator[str]:
    done = {
        'crop': "the middle is taken (square='crop')",
        'pad': f"padded with {reader.background} (square='pad')",
        None: "left so, and squashed where a square Resize follows; square='crop' or 'pad' of "
        'ReadImageFile keeps proportions',
    }
    if looks.oblong:
        yield f'{looks.oblong} of {looks.seen} images are not square: {done[reader.square]}'
    if looks.transparent:
        yield (
            f'{looks.transparent} of {looks.seen} images have an alpha channel: '
            f'put on background {reader.background}'
        )


@DATASETS.register_module()
class GrowingImageFiles(GrowScaleImgDataset):
    """MMagic's GrowScaleImgDataset (PGGAN, StyleGAN1) with our list of files."""

    def load_data_list(self) -> list[str]:
        """Lists the folder of the scale by name."""
        self.file_backend = _on_disk(self.file_backend)
        return super().load_data_list()


_OURS = {
    BasicImageDataset: ImageFiles,
    GrowScaleImgDataset: GrowingImageFiles,
    LoadImageFromFile: ReadImageFile,
}


def with_our_reader(loader: Any) -> Any:
    """Replaces MMagic's classes that list and read image files by ours, in a data loader's config.

    Classes of others, subclasses of these among them, stay.

    Args:
        loader: A config; left as it is. Anything else is returned.
    """
    if not isinstance(loader, Mapping) or not isinstance(loader.get('dataset'), Mapping):
        return loader
    loader = deepcopy(loader)
    _replace(loader['dataset'], None)
    return loader


def _replace(node: Any, scope: str | None) -> None:
    if isinstance(node, Mapping):
        scope = node.get('_scope_', scope)
        ours = _OURS.get(_class_of(node.get('type'), scope))
        if ours is not None:
            node['type'] = ours
        children = list(node.values())
    else:
        children = node if isinstance(node, (list, tuple)) else ()
    for child in children:
        _replace(child, scope)


def _class_of(kind: Any, scope: str | None) -> Any:
    if not isinstance(kind, str):
        return kind if isinstance(kind, type) else None
    for root in (ALL_DATASETS, ALL_TRANSFORMS):
        with root.switch_scope_and_registry(scope) as registry:
            if (found := registry.get(kind)) is not None:
                return found
    return None
