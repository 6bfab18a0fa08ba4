"""Times evaluations of the digits' generator.

    python dev/checks/evaluation.py --num 10000 --json FILE

By features of the digits network (FID, KID, precision and recall), twice; then by an Inception
network with random weights (FID and Inception Score), once: what counts there is its time.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import rggan_mm.plugin  # noqa: F401  before mmagic, which it repairs

# isort: split
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from dev.evaluation_round import evaluation_round
from rggan_mm.commands.command_line import positive, run
from rggan_mm.datasets import Digits
from rggan_mm.evaluation import GANMetrics
from rggan_mm.files import written_whole

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'rg_sngan_digits_10pct.py'


def seconds_of(work: Callable[[], dict]) -> tuple[float, dict]:
    """Seconds of something that ends with numbers in Python, and those numbers."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def inception_seconds(num: int, model: nn.Module, loader: DataLoader) -> float:
    """Seconds of an evaluation with Inception features, weights drawn at random."""
    sys.path.append(str(ROOT / 'tests' / 'evaluation'))
    from random_inception import save_random_inception

    with tempfile.TemporaryDirectory() as folder:
        weights = save_random_inception(Path(folder) / 'inception.pth')
        extractor = {'type': 'InceptionExtractor', 'weights': str(weights)}
        metric = GANMetrics(['fid', 'is'], num, extractor=extractor, cache_dir=None)
        return seconds_of(evaluation_round([metric], model, loader))[0]


def evaluate(args: argparse.Namespace) -> None:
    """Writes the figures."""
    init_default_scope('mmagic')
    torch.manual_seed(0)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = MODELS.build(Config.fromfile(CONFIG).model).to(device).eval()
    reals = Digits(split='test', image_size=16, pipeline=[{'type': 'PackInputs'}])
    loader = DataLoader(reals, batch_size=100)
    metric = GANMetrics(['fid', 'kid', 'pr'], args.num, extractor='digits', cache_dir=None)
    once = evaluation_round([metric], model, loader)
    first, _ = seconds_of(once)
    second, found = seconds_of(once)
    figures = {'device': device, 'images': args.num, 'first_seconds': first, 'seconds': second}
    figures['values'] = {k: v for k, v in found.items() if isinstance(v, (int, float))}
    if not args.without_inception:
        figures['inception_seconds'] = inception_seconds(args.num, model, loader)
    with written_whole(args.json) as path:
        path.write_text(json.dumps(figures, indent=2), encoding='utf-8')


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--num', type=positive, default=10_000, help='images (default 10,000)')
    parser.add_argument('--without-inception', action='store_true', help='the digits network alone')
    parser.add_argument('--json', type=Path, required=True, metavar='FILE')
    args = parser.parse_args()
    return run(lambda: evaluate(args))


if __name__ == '__main__':
    sys.exit(main())
