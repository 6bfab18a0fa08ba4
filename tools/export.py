"""Writes a sparse checkpoint for use without this package: masks folded in, no thresholds.

python tools/export.py CONFIG CHECKPOINT -o generator.pth
python tools/export.py CONFIG CHECKPOINT -o generator.safetensors --format packed --half
python tools/export.py CONFIG CHECKPOINT -o model.pth --all

The averaged generator is taken (the trained one where there is none), in the phase in which the
checkpoint was evaluated. --network names another one, --all takes the whole model.
  pth, safetensors   load strictly into the stock network; safetensors says what it is
  packed             kept values and one bit a weight; rggan_mm/export/packed.py reads it
The format is that of the file's name unless --format says otherwise.
"""

import argparse
import sys
from pathlib import Path

from rggan_mm.commands.command_line import add_cfg_options, run
from rggan_mm.errors import ConfigError
from rggan_mm.export.files import save_packed, save_pth, save_safetensors
from rggan_mm.export.folding import fold_away, kept_counts, plain_state
from rggan_mm.export.loading import Trained
from rggan_mm.export.metadata import metadata_of
from rggan_mm.files import check_writable
from rggan_mm.training.checkpoint_reading import TRUST_HELP, trusted_checkpoints

FORMATS = ('pth', 'safetensors', 'packed')
WHOLE = 'all'  # networks, in the metadata
FORMAT = argparse.RawDescriptionHelpFormatter


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=FORMAT)
    add = parser.add_argument
    add('config', help='config that the checkpoint was made with')
    add('checkpoint', help='sparse checkpoint')
    add('-o', '--out', type=Path, required=True, help='file to write')
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--network', metavar='NAME', help='default: the averaged generator')
    which.add_argument('--all', action='store_true', help='all networks, named as in the model')
    add('--format', choices=FORMATS, help="default: by the file's name")
    add('--half', action='store_true', help='packed: kept values in half precision')
    add('--trust-checkpoint', action='store_true', help=TRUST_HELP)
    add_cfg_options(parser, 'model.generator.base_channels=8')
    return parser.parse_args()


def format_of(args: argparse.Namespace) -> str:
    """The format that is asked for; refuses options that it does not take."""
    ending = args.out.suffix.lstrip('.')
    if args.format is None and ending not in FORMATS:
        raise ConfigError(f'--out {args.out} must end in .pth or .safetensors, or give --format')
    chosen = args.format or ending
    if args.half and chosen != 'packed':
        raise ConfigError(f'--half is for --format packed, not for {chosen}')
    return chosen


def export(args: argparse.Namespace) -> None:
    """Writes the file."""
    kind = format_of(args)
    check_writable(args.out)
    with trusted_checkpoints(args.trust_checkpoint):
        trained = Trained(args.config, args.checkpoint, args.cfg_options)
    if args.all:
        trained.check_whole()
    name = WHOLE if args.all else trained.choose(args.network)
    owners = [own for own in trained.sparse() if args.all or own == name.partition('.')[0]]
    sparse = {own: trained.sparse()[own] for own in owners}
    counts = {own: kept_counts(network) for own, network in sparse.items()}
    metadata = metadata_of(trained, counts, name)
    fold_away(sparse)
    network = trained.model if args.all else trained.networks()[name]
    write(args, kind, plain_state(network.state_dict()), metadata)


def write(args: argparse.Namespace, kind: str, state: dict, metadata: dict) -> None:
    """Writes weights in one of the formats."""
    if kind == 'pth':
        save_pth(args.out, state)
    elif kind == 'safetensors':
        save_safetensors(args.out, state, metadata)
    else:
        save_packed(args.out, state, metadata, args.half)


def main() -> int:
    """Writes the file; 1 with one line when the input is bad."""
    args = parse_args()
    return run(lambda: export(args))


if __name__ == '__main__':
    sys.exit(main())
