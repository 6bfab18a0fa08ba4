"""Writes a sparse checkpoint for use without this package: masks folded in, no thresholds.

python -m rggan_mm export CONFIG CHECKPOINT -o generator.pth
python -m rggan_mm export CONFIG CHECKPOINT -o generator.safetensors --format packed --half
python -m rggan_mm export CONFIG CHECKPOINT -o generator.onnx
python -m rggan_mm export CONFIG CHECKPOINT -o model.pth --all

The averaged generator is taken (the trained one where there is none), in the phase in which the
checkpoint was evaluated. --network names another one, --all takes the whole model.
  pth, safetensors   load strictly into the stock network; safetensors says what it is
  packed             kept values and one bit a weight; rggan_mm/export/packed.py reads it
  onnx               a generator for any number of samples, compared with PyTorch on 64
The format is that of the file's name unless --format says otherwise.

--shrink cuts the channels out that have no effect: those pruned by granularity='channel', and
those of which no weight is left by weight. rggan_mm/export/shrunk.py loads the smaller network;
an ONNX file needs nothing.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from torch import Tensor, nn

from rggan_mm.analysis.calling import Images
from rggan_mm.commands.command_line import WIDE, add_cfg_options, positive, run
from rggan_mm.errors import ConfigError
from rggan_mm.export.baking import bake
from rggan_mm.export.loading import Trained
from rggan_mm.export.metadata import CONFIG, SHRUNK, metadata_of
from rggan_mm.export.modulated import convolve_together
from rggan_mm.export.onnx_file import save_onnx
from rggan_mm.export.shrinking import Cut, shrink
from rggan_mm.export.shrunk import load_shrunk
from rggan_mm.export.stock_weights import fold_away, kept_counts, nonzero_counts, plain_state
from rggan_mm.export.table import row_of, table_of
from rggan_mm.export.weight_files import read, save_packed, save_pth, save_safetensors
from rggan_mm.files import check_writable
from rggan_mm.training.checkpoint_reading import TRUST_HELP, trusted_checkpoints

FORMATS = ('pth', 'safetensors', 'onnx', 'packed')
WHOLE = 'all'  # networks, in the metadata
COMPARED = 16  # images
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
    add('--shrink', action='store_true', help='cut out channels without effect')
    add('--size', type=positive, default=256, help='of images that are translated; default: 256')
    add('--json', action='store_true', help='print the table as JSON')
    add('--trust-checkpoint', action='store_true', help=TRUST_HELP)
    add_cfg_options(parser, 'model.generator.base_channels=8')
    return parser.parse_args()


def format_of(args: argparse.Namespace) -> str:
    """The format that is asked for; refuses options that it does not take."""
    ending = args.out.suffix.lstrip('.').lower()
    ending = 'pth' if ending == 'pt' else ending
    if args.format is None and ending not in FORMATS:
        raise ConfigError(
            f'--out {args.out} must end in .pth, .pt, .safetensors or .onnx, or give --format'
        )
    chosen = args.format or ending
    if args.half and chosen != 'packed':
        raise ConfigError(f'--half is for --format packed, not for {chosen}')
    if args.all and args.shrink:
        raise ConfigError('--all is not for --shrink, which cuts one network')
    if args.all and chosen == 'onnx':
        raise ConfigError('--all is not for --format onnx, which holds one network')
    return chosen


def export(args: argparse.Namespace) -> dict:
    """Writes the file; returns what is to be said of it."""
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
    metadata = {**metadata_of(trained, counts, name), SHRUNK: 'yes' if args.shrink else ''}
    size = trained.image_size() or args.size
    rows = rows_of(trained, counts, name, size)
    network = trained.model if args.all else trained.networks()[name]
    wanted = None if args.all else images_of(network, trained, size)
    cuts = shrunk(trained, name, rows, size) if args.shrink else []
    difference = None
    if kind == 'onnx':
        difference = write_onnx(args.out, trained, name, metadata, size)
    else:
        if not args.shrink:
            fold_away(sparse)
        write(args, kind, plain_state(network.state_dict()), metadata)
        load = load_shrunk if args.shrink else nn.Module.load_state_dict
        load(network, read(args.out, kind))
        if wanted is not None:
            difference = apart(images_of(network, trained, size), wanted, makes_images(name))
    said = {'file': str(args.out), 'format': kind, 'bytes': args.out.stat().st_size}
    said['compared'] = 'images' if makes_images(name) else 'outputs'
    channels = [asdict(cut) for cut in cuts]
    return {**said, 'difference': difference, 'networks': rows, 'channels': channels}


def shrunk(trained: Trained, name: str, rows: list, size: int) -> list[Cut]:
    """Cuts channels out of one network of the model, and adds its row."""
    network = one_network(trained, name, '--shrink')
    bake(trained.networks()[name.partition('.')[0]])
    cuts, _ = shrink(Images(network, trained.growth(), size))
    kept = nonzero_counts(network)
    rows.append(row_of(f'{name}, shrunk', network, kept, trained.growth(), size))
    return cuts


def one_network(trained: Trained, name: str, field: str) -> nn.Module:
    """A network by name; refuses a dict of them."""
    network = trained.networks()[name]
    if isinstance(network, nn.ModuleDict):
        names = ', '.join(f'{name}.{key}' for key in network)
        raise ConfigError(f'{field} takes one network: give --network, one of {names}')
    return network


def images_of(network: nn.Module, trained: Trained, size: int) -> Tensor | None:
    """Images to compare, in evaluation; None for networks that are called otherwise."""
    try:
        found = Images(network, trained.growth(), size).sample(COMPARED)
    except Exception:  # whatever a network raises that is called otherwise
        return None
    return found if isinstance(found, Tensor) else None


def makes_images(name: str) -> bool:
    """Whether a network makes images, in [-1, 1], and not numbers of any size."""
    return 'generator' in name


def apart(found: Tensor, wanted: Tensor, images: bool) -> float:
    """The largest difference; of the largest value where they are no images."""
    largest = 1.0 if images else float(wanted.abs().max()) or 1.0
    return float((found - wanted).abs().max()) / largest


def rows_of(trained: Trained, counts: dict, name: str, size: int) -> list:
    """The rows of the exported networks."""
    rows = []
    for own, network in trained.networks().items():
        owner, _, member = own.partition('.')
        if own != name and (name != WHOLE or member):
            continue
        kept = {
            layer.removeprefix(f'{member}.'): pair
            for layer, pair in counts.get(owner, {}).items()
            if not member or layer.startswith(f'{member}.')
        }
        rows.append(row_of(own, network, kept, trained.growth(), size))
    return rows


def write_onnx(out: Path, trained: Trained, name: str, metadata: dict, size: int) -> float:
    """Writes one generator as ONNX."""
    network = one_network(trained, name, '--format onnx')
    bake(trained.networks()[name.partition('.')[0]])
    convolve_together(network)
    return save_onnx(out, Images(network, trained.growth(), size), metadata)


def write(args: argparse.Namespace, kind: str, state: dict, metadata: dict) -> None:
    """Writes weights in one of the formats."""
    if kind == 'pth':
        save_pth(args.out, state)
    elif kind == 'safetensors':
        save_safetensors(args.out, state, metadata)
    else:  # made to be small
        short = {key: text for key, text in metadata.items() if key != CONFIG}
        save_packed(args.out, state, short, args.half)


def show(said: dict, as_json: bool) -> None:
    """Prints the table, or all as JSON."""
    if as_json:
        rows = [row.as_dict() for row in said['networks']]
        sys.stdout.write(json.dumps({**said, 'networks': rows}, indent=1) + '\n')
        return
    console = Console(highlight=False, soft_wrap=True, width=WIDE)
    console.print(table_of(said['networks']))
    for cut in said['channels']:
        console.print('{layer}: {left} of {channels} channels left'.format(**cut))
    found = said.get('difference')
    of = '' if said['compared'] == 'images' else ' of the largest value'
    checked = '' if found is None else f', {said["compared"]} differ by {found:.1e}{of}'
    console.print(f'{said["file"]}: {said["bytes"]:,} bytes{checked}')


def main() -> int:
    """Writes the file; 1 with one line when the input is bad."""
    args = parse_args()
    return run(lambda: show(export(args), args.json))
