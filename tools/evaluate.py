"""Compares two sets of images: FID and more, with the protocol beside the numbers.

python tools/evaluate.py REFERENCE GENERATED, each of which is one of
  a folder of images            read as pytorch-fid reads it
  FILE.npz                      statistics, pytorch-fid's format
  CONFIG.py                     the config's validation images
  CHECKPOINT.pth                images of its generator; needs --config (or CONFIG.py as REFERENCE)

python tools/evaluate.py folder/of/real/images folder/of/generated/images --values fid kid
python tools/evaluate.py configs/rg_sngan_cifar10_10pct.py work_dirs/run/best.pth --values fid is
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from mmengine.config import DictAction

from rggan_mm.commands.command_line import add_cfg_options, run
from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.compare import StatisticsSource, compare
from rggan_mm.evaluation.config_sources import GeneratedImages, ValidationImages
from rggan_mm.evaluation.extractors import EXTRACTORS, build_extractor, made_by
from rggan_mm.evaluation.protocol import check_count
from rggan_mm.evaluation.settings import Settings, check_integer
from rggan_mm.evaluation.sources import ImageFolder
from rggan_mm.evaluation.statistics_file import save_statistics
from rggan_mm.evaluation.values import VALUES
from rggan_mm.files import written_whole
from rggan_mm.training.checkpoint_reading import TRUST_HELP, trusted_checkpoints

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
    add('--num', type=int, default=10_000, help='images of a checkpoint; default: 10000')
    add('--seed', type=int, default=0, help='seed of their noise; default: 0')
    add('--sample-model', choices=['ema', 'orig'], help='default: the average if there is one')
    add('--batch-size', type=int, default=50, help='default: 50')
    add('--workers', type=int, default=0, help='processes that read a folder; default: 0')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='cpu, cuda, ...')
    add('--save-stats', nargs=2, type=Path, metavar='FILE.npz', help='keep both sides here')
    add('--json', type=Path, help='also write the result here')
    return parser.parse_args()


def open_source(
    path: Path, args: argparse.Namespace
) -> ImageFolder | StatisticsSource | ValidationImages | GeneratedImages:
    """Finds out what an argument names."""
    if path.is_dir():
        return ImageFolder(path, args.batch_size, args.workers)
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
    sampling = {'seed': args.seed, 'sample_model': args.sample_model, 'options': args.cfg_options}
    return GeneratedImages(config, path, args.num, args.batch_size, **sampling)


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
    """Refuses bad numbers, files and devices before anything is computed."""
    check_count('--num', args.num)
    check_integer('--batch-size', args.batch_size, 1)
    check_integer('--workers', args.workers, 0)
    for path in args.save_stats or ():
        if path.suffix != '.npz':
            raise ConfigError(f'--save-stats {path} must end in .npz')
    try:
        torch.empty(0, device=args.device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'--device {args.device} cannot be used: {reason}') from error


def evaluate(args: argparse.Namespace) -> dict:
    """Compares, and writes the files that were asked for."""
    check(args)
    settings = Settings.of(args.settings)
    with trusted_checkpoints(args.trust_checkpoint):
        sources = [open_source(path, args) for path in (args.reference, args.generated)]
    extractor = extractor_of(args, sources)
    results, statistics = compare(*sources, extractor, args.values, settings, args.device)
    if args.json:
        with written_whole(args.json) as temporary:
            temporary.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
    for path, source, found in zip(args.save_stats or (), sources, statistics, strict=False):
        key = {**made_by(extractor), 'reference': source.name} if extractor else source.key
        save_statistics(path, found, key)
    return results


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


if __name__ == '__main__':
    sys.exit(main())
