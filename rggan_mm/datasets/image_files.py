"""Image files of a folder: which there are, and their pixels; for training and evaluation alike."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from rggan_mm.errors import ConfigError

ENDINGS = ('.bmp', '.jpg', '.jpeg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
SQUARE = ('crop', 'pad', None)
LOOKED_AT = 10_000  # headers that are read before a training
_WIDE = ('I', 'I;16', 'I;16B', 'I;16L', 'I;16N')  # grey values of 0 to 65535
_FORMATS_OF_WIDE = ('PNG', 'PPM')  # where mode I means so; elsewhere it is any integer
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass
class Listing:
    """Image files of a folder.

    Attributes:
        folder: The folder.
        names: Paths in it with ``/``, sorted.
        left_out: Files or folders that were left out, by path in it, and why.
    """

    folder: Path
    names: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def skipped(self) -> Counter:
        """Number of files or folders that were left out, by reason."""
        return Counter(self.left_out.values())

    def leave_out(self, path: Path, reason: str) -> None:
        """Notes a file or folder that is not taken."""
        self.left_out[path.relative_to(self.folder).as_posix()] = reason

    def summary(self) -> str:
        """One line: how many images, and what was skipped and why."""
        below = sum('/' in name for name in self.names)
        text = f'{self.folder}: {len(self.names)} images'
        text += f', {below} of them in subfolders' if below else ''
        skipped = ', '.join(f'{count} {reason}' for reason, count in self.skipped.most_common())
        return f'{text}; skipped: {skipped}' if skipped else text


def list_images(
    folder: Path | str, recursive: bool = True, endings: Iterable[str] = ENDINGS
) -> Listing:
    """Lists image files by name; the order in which the file system lists them is no matter.

    Args:
        folder: Where they are.
        recursive: Whether subfolders are searched. Default: True.
        endings: Endings of image files, in any case. Default: :data:`ENDINGS`.

    Returns:
        The files, with what was skipped: other endings, hidden files and folders, subfolders
        with ``recursive=False``.

    Raises:
        FileNotFoundError: There is no such folder.
        ConfigError: It holds no image, or a folder cannot be read.
    """
    found, endings = Listing(Path(folder)), tuple(ending.lower() for ending in endings)
    seen = set()
    for where, folders, files in os.walk(folder, followlinks=True, onerror=_refuse_folder):
        if (place := os.path.realpath(where)) in seen:  # a link to a folder above or beside
            found.leave_out(Path(where), 'folder seen before')
            folders.clear()
            continue
        seen.add(place)
        _choose_folders(Path(where), folders, recursive, found)
        _choose_files(Path(where), files, endings, found)
    if not found.names:
        raise ConfigError(f'{found.summary()}; images end in {", ".join(endings)}')
    found.names.sort()
    return found


def _choose_folders(where: Path, folders: list[str], recursive: bool, found: Listing) -> None:
    """Sorts the subfolders and leaves out those that are not searched, in place."""
    for name in folders:
        if _is_hidden(name):
            found.leave_out(where / name, 'hidden')
        elif not recursive:
            found.leave_out(where / name, 'subfolders (recursive=False)')
    folders[:] = sorted(name for name in folders if recursive and not _is_hidden(name))


def _choose_files(where: Path, files: list[str], endings: tuple[str, ...], found: Listing) -> None:
    for name in files:
        if _is_hidden(name):
            found.leave_out(where / name, 'hidden')
        elif not name.lower().endswith(endings):
            found.leave_out(where / name, Path(name).suffix.lower() or 'without ending')
        else:
            found.names.append((where / name).relative_to(found.folder).as_posix())


def _is_hidden(name: str) -> bool:
    return name.startswith('.') or name == '__MACOSX'


def _refuse_folder(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):
        raise error
    raise ConfigError(f'{error.filename} cannot be listed: {error.strerror}') from error


def check_background(background: Any) -> tuple[int, ...]:
    """Red, green and blue of a colour, each 0 to 255.

    Args:
        background: A name or code that Pillow knows (``'white'``, ``'#808080'``), or three
            integers.

    Raises:
        ConfigError: It is no colour.
    """
    refusal = ConfigError(
        f'background={background!r} must be a colour, such as white, #808080 or (128, 128, 128)'
    )
    try:
        colour = ImageColor.getrgb(background) if isinstance(background, str) else background
        red, green, blue = (int(value) for value in colour)
    except (TypeError, ValueError):
        raise refusal from None
    if min(red, green, blue) < 0 or max(red, green, blue) > 255:
        raise refusal
    return red, green, blue


def read_image(
    path: Path | str,
    background: tuple[int, ...] = (255, 255, 255),
    mode: str = 'RGB',
    content: bytes | None = None,
) -> np.ndarray:
    """Pixels of an image file.

    An EXIF orientation is applied, 16 bits a channel are scaled to 8, what is transparent lies
    on the background. Of several frames it is the first.

    Args:
        path: The file.
        background: Red, green and blue. Default: white.
        mode: ``'RGB'`` or ``'L'`` for grey. Default: ``'RGB'``.
        content: The file's bytes where they have been read. Default: None.

    Returns:
        uint8, shape (H, W, 3), or (H, W) for grey.

    Raises:
        ConfigError: The file is no image, damaged, or has another kind of pixels.
    """
    with _named(path), Image.open(path if content is None else BytesIO(content)) as image:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
        image = _on_background(_eight_bits(image), background).convert(mode)
        return np.array(image if turn is None else image.transpose(turn))


def read_like_pytorch_fid(path: Path | str) -> np.ndarray:
    """Pixels as pytorch-fid reads them: no orientation, no scaling, no background.

    Args:
        path: The file.

    Returns:
        uint8, shape (H, W, 3), RGB.

    Raises:
        ConfigError: The file is no image, or damaged.
    """
    with _named(path), Image.open(path) as image:
        return np.array(image.convert('RGB'))


class _named:
    """Turns whatever the image library raises in a block into one line with the file's path."""

    def __init__(self, path: Path | str):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # Its readers raise nearly everything: SyntaxError, struct.error, DecompressionBombError.
        if isinstance(error, Exception) and not isinstance(error, ConfigError):
            reason = ' '.join(str(error).split()) or kind.__name__
            raise ConfigError(f'image {self.path} is not readable: {reason}') from error


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == 'F' or (image.mode == 'I' and image.format not in _FORMATS_OF_WIDE):
        raise ValueError(f'pixels of mode {image.mode}; save it with 8 or 16 bits a channel')
    if image.mode not in _WIDE:
        return image
    # The upper byte: so OpenCV scales, and Pillow where an image has colours.
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))


def _on_background(image: Image.Image, background: tuple[int, ...]) -> Image.Image:
    if not _has_alpha(image):
        return image
    layer = image.convert('RGBA')
    canvas = Image.new('RGBA', layer.size, (*background, 255))
    return Image.alpha_composite(canvas, layer)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ('LA', 'La', 'PA', 'RGBA', 'RGBa') or 'transparency' in image.info


def made_square(
    pixels: np.ndarray, how: str | None, background: tuple[int, ...] = (255, 255, 255)
) -> np.ndarray:
    """Makes an image square.

    Args:
        pixels: Shape (H, W) or (H, W, C).
        how: ``'crop'`` takes the middle, ``'pad'`` adds background on two sides, None does
            nothing.
        background: Colour in the order of the channels. Default: white.
    """
    height, width = pixels.shape[:2]
    if how is None or height == width:
        return pixels
    side = min(height, width) if how == 'crop' else max(height, width)
    top, left = abs(height - side) // 2, abs(width - side) // 2
    if how == 'crop':
        return pixels[top : top + side, left : left + side]
    shape = (side, side, *pixels.shape[2:])
    fill = np.array(background[: shape[-1]] if len(shape) == 3 else background[0])
    padded = np.broadcast_to(fill, shape).astype(pixels.dtype)
    padded[top : top + height, left : left + width] = pixels
    return padded


@dataclass
class Looks:
    """What the headers of image files say.

    Attributes:
        seen: Number of files that were looked at.
        oblong: How many of them are not square.
        transparent: How many of them may have transparent pixels.
    """

    seen: int
    oblong: int
    transparent: int


def look_at(paths: Sequence[Path | str]) -> Looks:
    """Reads the headers of files, at most :data:`LOOKED_AT`, without their pixels.

    Raises:
        ConfigError: A header is damaged.
    """
    looks = Looks(min(len(paths), LOOKED_AT), 0, 0)
    for path in paths[:LOOKED_AT]:
        with _named(path), Image.open(path) as image:
            looks.oblong += image.width != image.height
            looks.transparent += _has_alpha(image)
    return looks
