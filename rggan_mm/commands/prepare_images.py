"""Makes a clean folder of PNG files of one size from any folder of images.

python -m rggan_mm prepare-images photos data/photos_64 --size 64
python -m rggan_mm prepare-images photos data/photos_64 --size 64 --crop pad --background black
python -m rggan_mm prepare-images photos photos_64 --size 64 --test 0.1 --keep-together '^[^_]+'

Subfolders, EXIF orientation, alpha and 16 bits are taken care of; of an animation it is the
first frame. What is skipped, and why, is listed in DST_skipped.txt.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rggan_mm.commands.command_line import positive, run
from rggan_mm.commands.progress import followed
from rggan_mm.datasets.preparing import CROPS, Prepared, Recipe, prepare_images

FORMAT = argparse.RawDescriptionHelpFormatter


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=FORMAT)
    add = parser.add_argument
    add('source', metavar='SRC', type=Path, help='folder of images')
    add('destination', metavar='DST', type=Path, help='new folder')
    add('--size', type=positive, required=True, help='width and height of the result')
    add('--crop', choices=list(CROPS), default='center', help='what is not square (center)')
    add('--background', default='white', help='behind transparent pixels, beside padded images')
    add('--only', metavar='PATTERN', default='', help='take paths with a match of this regex')
    add('--test', type=float, metavar='SHARE', help='make DST/train and DST/test, such as 0.1')
    add('--keep-together', metavar='PATTERN', help='same match of this regex, same side')
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> None:
    """Makes the folder and says what came out."""
    recipe = Recipe(args.size, args.crop, args.background, args.only, args.test, args.keep_together)
    show(prepare_images(args.source, args.destination, recipe, images), args.destination)


def images(names: Sequence[str]) -> Iterator[str]:
    """The names again; says how far it is."""
    return followed(names, 'images', len(names))


def show(done: Prepared, destination: Path) -> None:
    """Prints numbers, one folder a line."""
    for side, count in sorted(done.written.items()):
        sys.stdout.write(f'{destination / side}: {count} images\n')
    if done.enlarged:
        sys.stdout.write(f'enlarged: {done.enlarged} that were smaller\n')
    if done.skipped:
        sys.stdout.write(f'skipped: {len(done.skipped)}, listed in {done.skipped_file}\n')


def main() -> int:
    """Prepares; 1 with one line when the input is bad."""
    args = parse_args()
    return run(lambda: prepare(args))
