"""Times one evaluation of a generator in three ways, and notes the memory of each.

    python tools/benchmark_evaluation.py CONFIG --weights FILE.pth --jit FILE.pt --num 200

ours       GANMetrics, FID and Inception Score from one pass of features
published  images written as PNG, read back, pytorch-fid's features, its sqrtm; FID alone
mmagic     MMagic's FrechetInceptionDistance and InceptionScore

Statistics of the real images are there already in all three. The ways take turns in one
process. FILE.pth holds Inception weights in pytorch-fid's format, FILE.pt the TorchScript
network that MMagic takes; tests/evaluation/random_inception.py makes both with random weights.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rggan_mm.plugin  # noqa: F401  before mmagic, which it repairs

# isort: split
import numpy as np
import torch
from mmagic.registry import METRICS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from pytorch_fid.fid_score import calculate_activation_statistics, calculate_frechet_distance
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader
from torchvision.utils import save_image

from dev.evaluation_round import evaluation_round
from rggan_mm.commands.command_line import output_console
from rggan_mm.datasets import Digits
from rggan_mm.errors import ConfigError
from rggan_mm.evaluation import GANMetrics, InceptionExtractor
from rggan_mm.evaluation.images import to_rgb01
from rggan_mm.evaluation.inception import pytorch_fid_network
from rggan_mm.evaluation.weights_file import local_weights

PEAK = 'VmHWM'
NOW = 'VmRSS'


def memory(field: str) -> float:
    """Memory of this process in MB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    """Lets the peak start again from what is used now."""
    Path('/proc/self/clear_refs').write_text('5', encoding='ascii')


def ours(model: nn.Module, loader: DataLoader, args: argparse.Namespace) -> Callable[[], dict]:
    """GANMetrics as the configs use it."""
    extractor = InceptionExtractor(weights=args.weights)
    metric = GANMetrics(['fid', 'is'], args.num, extractor=extractor, cache_dir=None)
    return evaluation_round([metric], model, loader)


def mmagic(model: nn.Module, loader: DataLoader, args: argparse.Namespace) -> Callable[[], dict]:
    """MMagic's two metrics."""
    given = {'fake_nums': args.num, 'sample_model': 'ema', 'inception_path': args.jit}
    with tempfile.TemporaryDirectory() as folder:
        fid = {'type': 'FrechetInceptionDistance', 'inception_pkl': f'{folder}/real.pkl'}
        score = {'type': 'InceptionScore', 'prefix': 'IS'}
        metrics = [METRICS.build({**metric, **given}) for metric in (fid, score)]
        return evaluation_round(metrics, model, loader)


def published(model: nn.Module, loader: DataLoader, args: argparse.Namespace) -> Callable[[], dict]:
    """Images by way of a folder of PNG files."""
    network = pytorch_fid_network(local_weights(args.weights)).to(args.device)
    features = np.random.RandomState(0).rand(4000, 2048)
    real = features.mean(0), np.cov(features, rowvar=False)

    @torch.no_grad()
    def run() -> dict:
        with tempfile.TemporaryDirectory() as folder:
            files = write_images(model, args.num, loader.batch_size, Path(folder))
            fake = calculate_activation_statistics(files, network, 50, device=args.device)
        return {'fid': calculate_frechet_distance(*fake, *real)}

    return run


def write_images(model: nn.Module, total: int, batch_size: int, folder: Path) -> list[Path]:
    """Generates images into PNG files."""
    order = model.data_preprocessor.output_channel_order
    files = []
    while len(files) < total:
        inputs = {'sample_model': 'ema', 'num_batches': min(batch_size, total - len(files))}
        for sample in model.val_step({'inputs': inputs}):
            files.append(folder / f'{len(files):06d}.png')
            save_image(to_rgb01(sample.fake_img[None], order), files[-1])
    return files


WAYS = {'ours': ours, 'published': published, 'mmagic': mmagic}


def measure(run: Callable[[], dict]) -> tuple[float, float]:
    """Seconds of one evaluation, and MB that it needed beyond what was there."""
    forget_peak()
    before, start = memory(NOW), time.perf_counter()
    run()
    return time.perf_counter() - start, memory(PEAK) - before


def compete(args: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Lets the ways take turns; seconds and MB of each turn."""
    init_default_scope('mmagic')
    model = MODELS.build(Config.fromfile(args.config).model).to(args.device).eval()
    reals = Digits(split='test', image_size=32, pipeline=[{'type': 'PackInputs'}], indices=100)
    loader = DataLoader(reals, batch_size=args.batch_size)
    runs = {name: WAYS[name](model, loader, args) for name in args.ways}
    found = {name: [] for name in runs}
    for _ in range(args.turns):
        for name, run in runs.items():
            found[name].append(measure(run))
    return found


def report(found: dict[str, list[tuple[float, float]]], args: argparse.Namespace) -> Table:
    """Median and range, and what ours takes of the time of each, turn by turn."""
    where = args.device if args.device != 'cpu' else f'CPU, {torch.get_num_threads()} threads'
    table = Table(title=f'one evaluation, {args.num} images, {args.turns} turns each, {where}')
    for column in ('way', 'median s', 'range', 'ours / it', 'range', 'peak MB'):
        table.add_column(column, no_wrap=True)
    for name, turns in found.items():
        seconds, peaks = zip(*turns, strict=True)
        yardstick = [mine for mine, _ in found.get('ours', turns)]
        ratios = [mine / theirs for mine, theirs in zip(yardstick, seconds, strict=True)]
        cells = [cell for values in (seconds, ratios) for cell in _median_and_range(values)]
        table.add_row(name, *cells, f'{max(peaks):.0f}')
    return table


def _median_and_range(values: list[float]) -> tuple[str, str]:
    return f'{statistics.median(values):.2f}', f'{min(values):.2f} - {max(values):.2f}'


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', type=Path, help='config whose generator is evaluated')
    add('--weights', required=True, help='Inception weights for ours and published')
    add('--jit', help='TorchScript Inception for mmagic')
    add('--ways', nargs='+', choices=list(WAYS), default=list(WAYS))
    add('--num', type=int, default=200, help='generated images (default 200)')
    add('--batch-size', type=int, default=100, help='images at a time (default 100)')
    add('--turns', type=int, default=3, help='turns of each (default 3)')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    args = parser.parse_args()
    try:
        if not args.config.is_file():
            raise ConfigError(f'config={args.config}: there is no such file')
        found = compete(args)
    except ConfigError as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    output_console().print(report(found, args))
    return 0


if __name__ == '__main__':
    sys.exit(main())
