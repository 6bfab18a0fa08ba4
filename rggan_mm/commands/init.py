"""Makes a folder of configs to start from: base files and examples.

python -m rggan_mm init configs
"""

import argparse
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import rggan_mm
from rggan_mm.commands.command_line import run
from rggan_mm.errors import ConfigError

CONFIGS = Path(rggan_mm.base('')).parent
# One that needs no data, its dense twin, and one for a folder of images.
EXAMPLES = ('rg_sngan_digits_35.py', 'sngan_digits_35.py', 'rg_dcgan_folder_64.py')


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', metavar='DIR', type=Path, help='new folder')
    return parser.parse_args()


def init(folder: Path) -> None:
    """Copies, and says what to do next."""
    if folder.exists():
        raise ConfigError(f'DIR={folder} is there already; name a new folder')
    others = [path.name for path in CONFIGS.glob('*.py') if path.name not in EXAMPLES]
    copytree(CONFIGS, folder, ignore=ignore_patterns('__pycache__', *others))
    first, _, images = EXAMPLES
    sys.stdout.write(f'try: python -m rggan_mm train {folder / first}\n')
    sys.stdout.write(
        f'your images: python -m rggan_mm prepare-images PHOTOS data/few_images --size 64, '
        f'then train {folder / images}\n'
    )


def main() -> int:
    """Makes the folder; 1 with one line when it is there already."""
    args = parse_args()
    return run(lambda: init(args.folder))
