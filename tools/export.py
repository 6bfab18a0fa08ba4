"""Writes a sparse checkpoint for use without this package: masks folded in, no thresholds.

python tools/export.py CONFIG CHECKPOINT -o generator.pth
python tools/export.py CONFIG CHECKPOINT -o model.pth --all

The averaged generator is taken (the trained one where there is none), in the phase in which the
checkpoint was evaluated. --network names another one, --all takes the whole model. A .pth file
loads strictly into the stock network, with MMEngine's load_checkpoint or with load_state_dict.
"""

import argparse
import sys
from pathlib import Path

from rggan_mm.commands.command_line import add_cfg_options, run
from rggan_mm.export.files import save_pth
from rggan_mm.export.folding import fold_away, plain_state
from rggan_mm.export.loading import Trained
from rggan_mm.files import check_writable
from rggan_mm.training.checkpoint_reading import TRUST_HELP, trusted_checkpoints

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
    add('--trust-checkpoint', action='store_true', help=TRUST_HELP)
    add_cfg_options(parser, 'model.generator.base_channels=8')
    return parser.parse_args()


def export(args: argparse.Namespace) -> None:
    """Writes the file."""
    check_writable(args.out)
    with trusted_checkpoints(args.trust_checkpoint):
        trained = Trained(args.config, args.checkpoint, args.cfg_options)
    save_pth(args.out, folded_state(trained, args))


def folded_state(trained: Trained, args: argparse.Namespace) -> dict:
    """The weights that are asked for, as a stock network names them."""
    sparse = trained.sparse()
    if args.all:
        trained.check_whole()
        fold_away(sparse)
        return plain_state(trained.model.state_dict())
    name = trained.choose(args.network)
    owner = name.partition('.')[0]
    fold_away({owner: sparse[owner]} if owner in sparse else {})
    return plain_state(trained.networks()[name].state_dict())


def main() -> int:
    """Writes the file; 1 with one line when the input is bad."""
    args = parse_args()
    return run(lambda: export(args))


if __name__ == '__main__':
    sys.exit(main())
