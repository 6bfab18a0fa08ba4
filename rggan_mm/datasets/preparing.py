"""Makes a clean folder of PNG files of one size from any folder of images."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from rggan_mm.datasets.image_files import (
    ENDINGS,
    Listing,
    check_background,
    list_images,
    made_square,
    read_image,
)
from rggan_mm.datasets.subset import check_ratio, subset_size
from rggan_mm.errors import ConfigError
from rggan_mm.files import check_writable, written_whole

CROPS = {'center': 'crop', 'pad': 'pad', 'none': None}
# What Pillow reads beside what a training reads.
READ_ENDINGS = (*ENDINGS, '.avif', '.gif', '.jfif')


@dataclass(frozen=True)
class Recipe:
    """What is made of each image.

    Attributes:
        size: Width and height of the result.
        crop: What is not square: ``'center'`` takes the middle, ``'pad'`` adds background on
            two sides, ``'none'`` squashes. Default: ``'center'``.
        background: Colour behind transparent pixels and around padded images.
            Default: ``'white'``.
        only: Regular expression; files whose path in the folder has no match are not looked
            at. Default: all.
        test: Share of the images for a folder ``test`` beside ``train``; None makes one
            folder of all. Default: None.
        keep_together: Regular expression; files in whose paths it matches the same text (its
            first group, where it has one) go to the same side. Default: None.

    Raises:
        ConfigError: A value that cannot be.
    """

    size: int
    crop: str = 'center'
    background: str | Sequence[int] = 'white'
    only: str = ''
    test: float | None = None
    keep_together: str | None = None

    def __post_init__(self):
        check_background(self.background)
        if self.size < 1 or self.crop not in CROPS:
            given = f'size={self.size}, crop={self.crop!r}'
            raise ConfigError(f'{given}: size must be at least 1, crop one of {", ".join(CROPS)}')
        if self.test is not None:
            check_ratio(self.test, 'test')
        elif self.keep_together is not None:
            raise ConfigError(f'keep_together={self.keep_together!r} is for a test share; set test')
        for name in ('only', 'keep_together'):
            _check_pattern(name, getattr(self, name) or '')


@dataclass
class Prepared:
    """What was made.

    Attributes:
        written: Number of images by folder; ``'.'`` is the destination itself.
        enlarged: How many were smaller than the result.
        skipped: Reason by path of what was left out.
        skipped_file: The same as a text file; None where nothing was skipped.
    """

    written: dict[str, int] = field(default_factory=dict)
    enlarged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    skipped_file: Path | None = None


def prepare_images(
    source: Path,
    destination: Path,
    recipe: Recipe,
    follow: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> Prepared:
    """Reads a folder of images and writes a clean one.

    Files are read as a training reads them: subfolders searched, EXIF orientation applied, 16
    bits scaled to 8, of several frames the first. Subfolders stay; ``a.jpg`` becomes ``a.png``,
    or ``a_2.png`` where that name is taken. The destination appears when all is done, and is
    the same whenever the files are.

    Args:
        source: Folder of images.
        destination: A folder that does not exist or is empty; not the working directory.
        recipe: What to make of them.
        follow: Gives the names again, such as one that shows progress.

    Raises:
        ConfigError: No image, a destination that cannot be used, or an empty side of the split.
    """
    _check_folders(source, destination)
    destination = destination.resolve()
    listing = _listed(source, recipe)
    sides = _sides(listing.names, recipe)
    done = Prepared(skipped=dict(sorted(listing.left_out.items())))
    with written_whole(destination) as folder:
        folder.mkdir()
        taken = _folders(f'{side}/{name}' for name, side in sides.items())
        for name in follow(listing.names):
            try:
                pixels = read_image(source / name, check_background(recipe.background))
            except ConfigError as error:
                done.skipped[name] = str(error)
                continue
            target = _free_name(f'{sides[name]}/{name}', taken)
            _write(pixels, folder / target, recipe)
            done.enlarged += min(pixels.shape[:2]) < recipe.size
            done.written[sides[name]] = done.written.get(sides[name], 0) + 1
        _refuse_empty(source, sides, done)
    done.skipped_file = _tell_skipped(destination, done.skipped)
    return done


def _check_pattern(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f'{name}={pattern!r} is no regular expression: {error}') from error


def _check_folders(source: Path, destination: Path) -> None:
    if not source.is_dir():
        raise ConfigError(f'{source}: there is no such folder')
    place = destination.resolve()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ConfigError(f'{destination} must be a new or empty folder')
    if place.is_relative_to(source.resolve()):
        raise ConfigError(f'{destination} must not lie in {source}, whose images it would join')
    if place == Path.cwd():
        raise ConfigError(f'{destination} must be a folder of its own, not the working directory')
    above = next(folder for folder in place.parents if folder.exists())
    if not above.is_dir():
        raise ConfigError(f'{destination} must not lie below the file {above}')
    check_writable(_skipped_file(place))


def _listed(source: Path, recipe: Recipe) -> Listing:
    """The files that are asked for."""
    found = list_images(source, endings=READ_ENDINGS)
    wanted = re.compile(recipe.only).search
    names = list(filter(wanted, found.names))
    if not names:
        raise ConfigError(f'only={recipe.only!r} matches none of {len(found.names)} images')
    return Listing(source, names, dict(item for item in found.left_out.items() if wanted(item[0])))


def _sides(names: Sequence[str], recipe: Recipe) -> dict[str, str]:
    """Folder by name: ``'.'``, or ``'train'`` and ``'test'``."""
    if recipe.test is None:
        return dict.fromkeys(names, '.')
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_group(name, recipe.keep_together), []).append(name)
    room = subset_size(len(names), recipe.test, 'test')
    sides = dict.fromkeys(names, 'train')
    members = list(groups.values())
    for index in np.random.RandomState(0).permutation(len(members)):
        if len(members[index]) <= room:  # a group that is too large stays in the training
            room -= len(members[index])
            sides.update(dict.fromkeys(members[index], 'test'))
    if len(set(sides.values())) < 2:
        raise ConfigError(
            f'test={recipe.test:g} of {len(names)} images in {len(members)} groups leaves '
            f'{"training" if "test" in sides.values() else "test"} without an image'
        )
    return sides


def _group(name: str, pattern: str | None) -> str:
    """What a file has in common with those that stay with it; alone, its name."""
    found = re.search(pattern, name) if pattern else None
    if not found:
        return f'alone {name}'
    return f'group {found.group(1) if found.re.groups else found.group()}'


def _folders(names: Iterable[str]) -> set[str]:
    """Every folder on the way to some files, in small letters."""
    return {str(folder).lower() for name in names for folder in PurePosixPath(name).parents}


def _free_name(name: str, taken: set[str]) -> str:
    """A path that ends in .png and is not taken, in any case of letters."""
    stem, number = str(Path(name).with_suffix('')), 1
    path = f'{stem}.png'
    while path.lower() in taken:
        number += 1
        path = f'{stem}_{number}.png'
    taken.add(path.lower())
    return path


def _write(pixels: np.ndarray, path: Path, recipe: Recipe) -> None:
    pixels = made_square(pixels, CROPS[recipe.crop], check_background(recipe.background))
    image = Image.fromarray(pixels)
    size = (recipe.size, recipe.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)).save(path)


def _refuse_empty(source: Path, sides: dict[str, str], done: Prepared) -> None:
    for side in sorted(set(sides.values()) - set(done.written)):
        reason = next(done.skipped[name] for name in sides if sides[name] == side)
        where = '' if side == '.' else f' for {side}'
        raise ConfigError(f'{source}: no file{where} is readable; {reason}')


def _skipped_file(destination: Path) -> Path:
    return destination.with_name(f'{destination.name}_skipped.txt')


def _tell_skipped(destination: Path, skipped: dict[str, str]) -> Path | None:
    if not skipped:
        return None
    path = _skipped_file(destination)
    with written_whole(path) as temporary:
        lines = [f'{name}\t{reason}\n' for name, reason in sorted(skipped.items())]
        temporary.write_text(''.join(lines), encoding='utf-8')
    return path
