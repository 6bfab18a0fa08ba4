"""Traces what the processes of a distributed run tell each other, step by step.

python tools/analysis/communication.py configs/rg_sngan_digits_10pct.py
python tools/analysis/communication.py CONFIG --processes 3 --validate
python tools/analysis/communication.py mmagic::dcgan/dcgan_1xb128-5epoches_mnist-64x64.py

The config trains a few iterations on this machine, on the CPU: without RG-GAN, and with either
gradient of the thresholds. A column has CALLS: BYTES, how often one process calls and what it hands
over in all, the last time that the part of the run came. The data of the config must be there.
Synchronised batch norms exist on GPUs only, so theirs are not counted.
"""

import argparse
import os
import sys
from pathlib import Path

# Sizes do not depend on the device, and there may be fewer GPUs than processes.
os.environ['CUDA_VISIBLE_DEVICES'] = ''

from rich import box
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import rggan_mm.plugin  # noqa: F401  registers what configs name
from dev.communication.traced_runs import Parts, trace_modes
from rggan_mm.commands.command_line import WIDE, add_cfg_options, output_console, run
from rggan_mm.commands.configs import read_config


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or mmagic::FOLDER/FILE.py')
    parser.add_argument('--processes', type=int, default=2, help='default: 2')
    parser.add_argument('--iterations', type=int, default=15, help='of each run; default: 15')
    parser.add_argument('--validate', action='store_true', help='end each run with a validation')
    parser.add_argument('--markdown', action='store_true', help='table in Markdown')
    add_cfg_options(parser, 'train_dataloader.batch_size=8')
    return parser.parse_args()


def build_table(found: dict[str, Parts], markdown: bool) -> Table:
    """One row per part of the run, one column per mode."""
    table = Table(box=box.MARKDOWN) if markdown else Table()
    table.add_column('part of the run', no_wrap=True)
    table.add_column('times', justify='right')
    for mode in found:
        table.add_column(mode, justify='right', no_wrap=True)
    for part in next(iter(found.values())):
        seen = [parts[part] for parts in found.values()]
        cells = [f'{each.calls:,}: {each.bytes:,}' for each in seen]
        table.add_row(part, str(seen[0].times), *cells)
    return table


def show(args: argparse.Namespace) -> None:
    """Traces and prints."""
    config = read_config(args.config, args.cfg_options)
    found = trace_modes(config, args.processes, args.iterations, args.validate)
    console = Console(width=WIDE) if args.markdown else output_console()
    console.print(build_table(found, args.markdown))


def main() -> int:
    """Prints the table; 1 with one line when the config cannot be traced."""
    args = parse_args()
    return run(lambda: show(args))


if __name__ == '__main__':
    sys.exit(main())
