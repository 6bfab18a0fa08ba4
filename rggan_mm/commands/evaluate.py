"""Compares two sets of images: FID and more, with the protocol beside the numbers.

python -m rggan_mm evaluate REFERENCE GENERATED, each of which is one of
  a folder of images            with its subfolders, read as a training reads it
  FILE.npz                      statistics, pytorch-fid's format
  CONFIG.py                     the config's validation images
  CHECKPOINT.pth                images of its generator; needs --config (or CONFIG.py as REFERENCE)

python -m rggan_mm evaluate folder/of/real/images folder/of/generated/images --values fid kid
python -m rggan_mm evaluate configs/rg_sngan_cifar10_10pct.py work_dirs/run/best.pth --values fid is
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import DictAction
from torch import Tensor

import rggan_mm.plugin  # noqa: F401  registers what configs name
from rggan_mm.commands.command_line import add_cfg_options, run
from rggan_mm.commands.progress import followed
from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.compare import Source, StatisticsSource, compare
from rggan_mm.evaluation.config_sources import GeneratedImages, ValidationImages
from rggan_mm.evaluation.extractors import EXTRACTORS, build_extractor, description, made_by
from rggan_mm.evaluation.nearest_images import nearest_images, save_nearest
from rggan_mm.evaluation.protocol import check_count
from rggan_mm.evaluation.settings import Settings, check_integer
from rggan_mm.evaluation.sources import ImageFolder
from rggan_mm.evaluation.statistics_file import save_statistics
from rggan_mm.evaluation.values import VALUES
from rggan_mm.files import check_writable, written_whole
from rggan_mm.training.checkpoint_reading import TRUST_HELP, trusted_checkpoints

NUM = 10_000
FORMAT = argparse.RawDescriptionHelpFormatter


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=FORMAT)
    parser.add_argument('reference', type=Path, help='the real side')
    parser.add_argument('generated', type=Path, help='the side that is judged')
    add = parser.add_argument
    add('--values', nargs='+', choices=list(VALUES), default=['fid'], help='default: fid')
    add('--settings', nargs='+', action=DictAction, default={}, help='such as is_splits=5')
    add('--config', type=Path, help='config of a checkpoint')
    add('--trust-checkpoint', action='store_true', help=TRUST_HELP)
    add_cfg_options(parser, 'val_dataloader.dataset.data_ratio=1.0')
    add('--extractor', choices=list(EXTRACTORS), default='inception', help='default: inception')
    add('--weights', help='file with the Inception weights; default: download')
    add('--num', type=int, help=f'images of a checkpoint; default: {NUM}')
    add('--seed', type=int, help='seed of their noise; default: 0')
    add('--sample-model', choices=['ema', 'orig'], help='default: the average if there is one')
    add('--batch-size', type=int, default=50, help='default: 50')
    add('--like-pytorch-fid', action='store_true', help='find and read files as pytorch-fid does')
    add('--background', default='white', help='behind transparent pixels; default: white')
    add('--workers', type=int, default=0, help='processes that read a folder; default: 0')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='cpu, cuda, ...')
    add('--save-stats', nargs=2, type=Path, metavar='FILE.npz', help='keep both sides here')
    add('--nearest', type=Path, metavar='FILE.png', help='samples above their nearest images')
    add('--json', type=Path, help='also write the result here')
    return parser.parse_args()


def open_source(
    path: Path, args: argparse.Namespace
) -> ImageFolder | StatisticsSource | ValidationImages | GeneratedImages:
    """Finds out what an argument names."""
    if path.is_dir():
        how = args.batch_size, args.workers, args.like_pytorch_fid, args.background
        return ImageFolder(path, *how)
    if path.suffix == '.npz':
        return StatisticsSource(path)
    if path.suffix == '.py':
        return ValidationImages(path, args.batch_size, args.cfg_options)
    if path.suffix == '.pth':
        return open_checkpoint(path, args)
    raise ConfigError(f'{path} is no folder and no .npz, .py or .pth file')


def open_checkpoint(path: Path, args: argparse.Namespace) -> GeneratedImages:
    """A checkpoint with the config that belongs to it."""
    config = args.config or (args.reference if args.reference.suffix == '.py' else None)
    if config is None:
        raise ConfigError(f'{path}: a checkpoint needs --config, the config it was trained with')
    sampling = {'sample_model': args.sample_model, 'options': args.cfg_options}
    num = NUM if args.num is None else args.num
    return GeneratedImages(config, path, num, args.batch_size, args.seed or 0, **sampling)


def extractor_of(args: argparse.Namespace, sources: list) -> torch.nn.Module | None:
    """Builds the feature extractor; None where there are only statistics to compare."""
    if all(isinstance(source, StatisticsSource) for source in sources):
        return None
    if args.weights is None:
        return build_extractor(args.extractor)
    if args.extractor != 'inception':
        raise ConfigError(f'--weights is for the inception extractor, not for {args.extractor}')
    return build_extractor({'type': 'InceptionExtractor', 'weights': args.weights})


def check(args: argparse.Namespace) -> None:
    """Refuses bad numbers, options, files and devices before anything is computed."""
    if args.num is not None:
        check_count('--num', args.num)
    check_integer('--batch-size', args.batch_size, 1)
    check_integer('--workers', args.workers, 0)
    check_options(args)
    check_outputs(args)
    try:
        torch.empty(0, device=args.device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'--device {args.device} cannot be used: {reason}') from error


def check_options(args: argparse.Namespace) -> None:
    """Refuses options that nothing would take into account."""
    ends = ends_of(args)
    needs = {'num': {'.pth'}, 'seed': {'.pth'}, 'sample_model': {'.pth'}, 'config': {'.pth'}}
    for name, wanted in {**needs, 'cfg_options': {'.pth', '.py'}}.items():
        value = getattr(args, name)
        if value not in (None, {}) and not ends & wanted:
            option, kinds = name.replace('_', '-'), ' or '.join(sorted(wanted))
            raise ConfigError(
                f'--{option} {value} is for a {kinds} file, but neither side is one: '
                'folders and statistics are taken whole'
            )


def ends_of(args: argparse.Namespace) -> set[str]:
    """What the names of the two sides end in."""
    return {args.reference.suffix, args.generated.suffix}


def check_outputs(args: argparse.Namespace) -> None:
    """Refuses files that cannot be written, and two of one name."""
    taken = {path.resolve() for path in (args.reference, args.generated, args.config) if path}
    for path in args.save_stats or ():
        if path.suffix != '.npz':
            raise ConfigError(f'--save-stats {path} must end in .npz')
    if args.nearest and (args.nearest.suffix != '.png' or '.npz' in ends_of(args)):
        raise ConfigError(
            f'--nearest {args.nearest} must end in .png, and both sides must be images, not .npz'
        )
    for path in filter(None, (*(args.save_stats or ()), args.nearest, args.json)):
        if path.resolve() in taken:
            raise ConfigError(f'{path} is named twice; what is written needs a file of its own')
        taken.add(path.resolve())
        check_writable(path)


def evaluate(args: argparse.Namespace) -> dict:
    """Compares, and writes the files that were asked for."""
    check(args)
    settings = Settings.of(args.settings)
    with trusted_checkpoints(args.trust_checkpoint):
        sources = [open_source(path, args) for path in (args.reference, args.generated)]
    extractor = extractor_of(args, sources)
    results, statistics = compare(
        *sources, extractor, args.values, settings, args.device, follow=batches
    )
    if args.json:
        with written_whole(args.json) as temporary:
            temporary.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
    if args.nearest:
        save_nearest(*nearest_images(*sources, extractor, args.device), args.nearest)
    for path, source, found in zip(args.save_stats or (), sources, statistics, strict=False):
        save_statistics(path, found, key_of(source, extractor))
    return results


def key_of(source: Source | StatisticsSource, extractor: torch.nn.Module | None) -> dict | None:
    """What a file of statistics says of itself."""
    if extractor is None:
        return source.key
    return {**made_by(extractor), **description(extractor), 'reference': source.name}


def batches(source: Source) -> Iterator[Tensor]:
    """The batches of a source; says how far it is."""
    return followed(source.batches(), f'images of {source.name}', len(source), len)


def show(results: dict) -> None:
    """Prints one value a line."""
    width = max(map(len, results))
    for name, value in results.items():
        shown = 'unknown' if value is None else value
        sys.stdout.write(f'{name:<{width}} {shown}\n')


def main() -> int:
    """Compares and prints the values; 1 with one line when the input is bad."""
    args = parse_args()
    return run(lambda: show(evaluate(args)))
