"""Makes images of a checkpoint or of an exported file, one a seed.

python -m rggan_mm generate best.pth --config CONFIG -o samples --seeds 0-99    seed_0.png, ...
python -m rggan_mm generate generator.safetensors --config CONFIG -o grid.png
python -m rggan_mm generate generator.onnx -o grid.png --seeds 3 5 8-20

A seed is the same image in a checkpoint and in the files that export made of it.
"""

import argparse
import math
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torchvision.utils import save_image

from rggan_mm.commands.command_line import add_cfg_options, run
from rggan_mm.commands.progress import followed
from rggan_mm.errors import ConfigError
from rggan_mm.export.sampling import Generator, open_generator
from rggan_mm.files import check_writable, written_whole
from rggan_mm.training.checkpoint_reading import TRUST_HELP, trusted_checkpoints

FORMAT = argparse.RawDescriptionHelpFormatter
LARGEST = 2**63 - 1


def seeds(text: str) -> range:
    """The type of ``--seeds``: one, or the first and the last of several."""
    first, _, last = text.partition('-')
    if not first.isdecimal() or not (last or first).isdecimal() or text.endswith('-'):
        raise ArgumentTypeError(f'{text} must be a number or two, such as 7 or 0-15')
    found = range(int(first), int(last or first) + 1)
    if not found or found[-1] > LARGEST:
        raise ArgumentTypeError(f'{text} must rise, and be below 2**63')
    return found


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=FORMAT)
    add = parser.add_argument
    add('file', type=Path, help='checkpoint, or a .pth, .safetensors, packed or .onnx file')
    add('--config', help='config that it was trained with; .onnx needs none')
    add('-o', '--out', type=Path, required=True, help='a grid (FILE.png), or a folder')
    add('--seeds', type=seeds, nargs='+', default=[range(16)], help='default: 0-15')
    add('--label', type=int, help='class of the images, where the generator has classes')
    add('--network', metavar='NAME', help='default: the averaged generator')
    add('--channel-order', choices=('RGB', 'BGR'), help="default: the config's or file's")
    add('--trust-checkpoint', action='store_true', help=TRUST_HELP)
    add_cfg_options(parser, 'model.generator.base_channels=8')
    return parser.parse_args()


def images_of(generator: Generator, args: argparse.Namespace) -> Iterator[tuple[int, Tensor]]:
    """Seeds and their images, RGB or grey in [0, 1]."""
    order = args.channel_order or generator.channel_order
    wanted = list(chain(*args.seeds))
    for seed in followed(wanted, 'images', len(wanted)):
        image = generator.image(seed, args.label).add(1).div(2).clamp(0, 1)
        if not order and len(image) == 3:
            raise ConfigError('--channel-order RGB or BGR must be given: nothing else says it')
        yield seed, image.flip(0) if order == 'BGR' else image


def save(image: Tensor, path: Path, **how: int) -> None:
    """Writes a picture."""
    with written_whole(path) as temporary:
        save_image(image, temporary, **how)


def generate(args: argparse.Namespace) -> None:
    """Makes the images and says where they are."""
    as_grid = args.out.suffix == '.png'
    check_writable(args.out if as_grid else args.out / 'seed_0.png')
    with trusted_checkpoints(args.trust_checkpoint):
        generator = open_generator(args.file, args.config, args.cfg_options, args.network)
    made = images_of(generator, args)
    said = (save_grid if as_grid else save_each)(made, args.out)
    sys.stdout.write(f'{args.out}: {said}\n')


def save_each(made: Iterator[tuple[int, Tensor]], folder: Path) -> str:
    """Writes a picture a seed."""
    for seed, image in made:
        save(image, folder / f'seed_{seed}.png')
    return 'an image a seed, named by it'


def save_grid(made: Iterator[tuple[int, Tensor]], path: Path) -> str:
    """Writes all into one picture."""
    found, images = zip(*made, strict=True)
    columns = math.ceil(math.sqrt(len(images)))
    save(torch.stack(images), path, nrow=columns)
    return f'{columns} columns, row by row the seeds {" ".join(map(str, found))}'


def main() -> int:
    """Makes images; 1 with one line when the input is bad."""
    args = parse_args()
    return run(lambda: generate(args))
