"""Times what RG-GAN adds to the start of a run: attaching, and the first step.

    python tools/benchmark_attach.py --sizes 8 16 32 64

Runs of one config with and without RG-GAN take turns at each image size: all hooks'
``before_run`` and ``before_train``, then one iteration on random images. What is added grows
with the prunable weights.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rggan_mm.plugin  # noqa: F401  registers what configs name
from dev.benchmark.contestant import Contestant
from dev.benchmark.kinds import KINDS, Settings, config_of
from rggan_mm.analysis.model_building import quiet
from rggan_mm.commands.command_line import output_console, positive, run
from rggan_mm.errors import ConfigError

CONFIG = str(Path(__file__).resolve().parents[1] / 'configs' / 'rg_stylegan2_folder_256.py')
# Fields of the config that the image size is.
_SIZES = (('generator', 'out_size'), ('discriminator', 'in_size'))
_POSSIBLE = [2**power for power in range(3, 11)]
COLUMNS = ('image size', 'weights', 'prunable', 'dense s', 'RG s', 'added s', 'spread')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--config', default=CONFIG, help='a StyleGAN2 with RG-GAN (default %(default)s)')
    add('--sizes', nargs='+', type=positive, default=[8, 16, 32, 64], help='of the images')
    add('--batch-size', type=positive, default=2)
    add('--trials', type=positive, default=3, help='of each run (default %(default)s)')
    return parser.parse_args()


def start(name: str, args: argparse.Namespace, size: int) -> Contestant:
    """Starts a run and takes its first step."""
    changes = {f'model.{net}.{key}': size for net, key in _SIZES}
    config = config_of(KINDS[name], args.config, args.batch_size, Settings(), changes)
    with tempfile.TemporaryDirectory() as folder, quiet():
        rival = Contestant(KINDS[name], config, Path(folder) / name)
        rival.time_step()
    return rival


def seconds(rival: Contestant) -> float:
    """What starting and the first step took."""
    return (rival.starting + rival.milliseconds[0]) / 1000


def row(args: argparse.Namespace, size: int) -> tuple[str, ...]:
    """The figures of one image size."""
    dense, pruned = [], []
    for _ in range(args.trials):
        dense.append(seconds(start('dense', args, size)))
        rival = start('published', args, size)
        pruned.append(seconds(rival))
    added = [ours - theirs for ours, theirs in zip(pruned, dense, strict=True)]
    networks = rival.networks.values()
    weights = sum(p.numel() for net in networks for p in net.network.parameters())
    prunable = sum(c.info.stored.numel() for net in networks for c in net.layers.values())
    return (
        str(size),
        f'{weights / 1e6:.1f} M',
        f'{prunable / 1e6:.1f} M',
        f'{statistics.median(dense):.2f}',
        f'{statistics.median(pruned):.2f}',
        f'{statistics.median(added):.2f}',
        f'{min(added):.2f} to {max(added):.2f}',
    )


def benchmark() -> None:
    """Prints the table."""
    args = parse_args()
    for size in args.sizes:
        if size not in _POSSIBLE:
            raise ConfigError(f'--sizes {size}: must be one of {", ".join(map(str, _POSSIBLE))}')
    table = Table(*COLUMNS, title=f'start and first iteration, batch {args.batch_size}')
    for size in args.sizes:
        table.add_row(*row(args, size))
    output_console().print(table)


if __name__ == '__main__':
    sys.exit(run(benchmark))
