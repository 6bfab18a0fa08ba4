"""Times training iterations with and without RG-GAN against each other.

    python tools/benchmark.py --config configs/rg_sngan_cifar10_10pct.py --channels-last

All runs live in one process and take turns (A B C A B C ...), so that what else the
machine does hits all of them. One turn is one generator step with its discriminator steps.
They train on random images, so nothing is downloaded, and evaluate nothing; the averaged
generator's sampling is timed by itself.

dense        stock MMagic, none of this package's hooks (but DiffAugment)
published    RG-GAN as the config has it, sparse
ste          the same with the straight-through gradient
dense_phase  RG-GAN in a dense phase
naive        RG-GAN with mask, check and gradient mask per layer and forward
defaults     dense without the settings below, where one is given

"waits" are operations that hand a value to Python: a GPU must be waited for.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.utils import mkdir_or_exist
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rggan_mm.plugin  # noqa: F401  registers what configs name
from dev.benchmark.contestant import Contestant
from dev.benchmark.kinds import FAST, KINDS, Settings, config_of
from dev.benchmark.measures import Costs, costs_of, held_bytes, recorded_bytes
from dev.benchmark.report import summarize, tables_of
from rggan_mm.analysis.model_building import quiet
from rggan_mm.commands.command_line import output_console, positive, run
from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole
from rggan_mm.training.mixed_precision import DTYPES, use_mixed_precision

CONFIG = str(Path(__file__).resolve().parents[1] / 'configs' / 'rg_sngan_cifar10_10pct.py')
SAMPLINGS = 5  # that count: of 100 images, after one that does not


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--config', default=CONFIG, help='a config with RG-GAN (default %(default)s)')
    add('--runs', nargs='+', choices=KINDS, metavar='RUN', help='which; the first is the yardstick')
    add('--batch-size', type=positive, help="images in a batch (default: the config's)")
    add('--device', choices=('cpu', 'cuda'), help='default: a GPU where there is one')
    add('--channels-last', action='store_true', help='convolutions in that memory format')
    add('--compile', action='store_true', help='the trained generator compiled')
    add('--amp', nargs='?', const='auto', choices=('auto', *DTYPES), help='mixed precision')
    add('--fast', nargs='*', choices=FAST, metavar='PART', help=f'on a GPU: {", ".join(FAST)}')
    add('--keep-ratio', type=float, default=0.8, help='kept at the start (default %(default)s)')
    add('--turns', type=positive, default=20, help='turns that count (default %(default)s)')
    add('--warm-up', type=positive, default=3, help='turns before those (default %(default)s)')
    add('--json', type=Path, metavar='FILE', help='writes all figures there')
    return parser.parse_args()


def contestants(args: argparse.Namespace, folder: Path) -> dict[str, Contestant]:
    """Builds the runs, by name."""
    fast = () if args.fast is None else tuple(args.fast or FAST)
    if fast and not torch.cuda.is_available():
        Console(stderr=True).print('--fast: without a GPU only fused optimisers count')
    settings = Settings(args.channels_last, args.compile, args.amp, fast)
    names = args.runs or [n for n in KINDS if n != 'defaults' or settings != Settings()]
    rivals = {}
    for name in names:
        kind = KINDS[name]
        config = config_of(kind, args.config, args.batch_size, settings)
        if kind.settings and settings.amp:
            use_mixed_precision(config, None if settings.amp == 'auto' else settings.amp)
        compiled = kind.settings and settings.compiled
        rivals[name] = Contestant(kind, config, folder / name, args.keep_ratio, compiled)
    return rivals


def compete(rivals: dict[str, Contestant], turns: int, warm_up: int) -> None:
    """Lets runs take turns."""
    console = Console(stderr=True)
    for i in track(range(turns + warm_up), 'turns', console=console, transient=True):
        for rival in rivals.values():
            rival.time_turn()
            if i < SAMPLINGS + 1:
                rival.time_sampling()
    for rival in rivals.values():
        del rival.milliseconds[:warm_up], rival.sampling[0]


def costs(rival: Contestant) -> Costs:
    """What a turn of one run costs beside time."""
    held = held_bytes(rival.runner.model, rival.optimizers) + recorded_bytes(rival.graphs)
    return costs_of(rival.turn, rival.length, held)


def benchmark() -> None:
    """Prints the table."""
    args = parse_args()
    _choose_device(args.device)
    if not 0 < args.keep_ratio < 1:
        raise ConfigError(f'--keep-ratio={args.keep_ratio}: must be a number in (0, 1)')
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            rivals = contestants(args, Path(folder))
        compete(rivals, args.turns, args.warm_up)
        asked = {
            'config': args.config,
            'batch_size': next(iter(rivals.values())).batch_size,
            'channels_last': args.channels_last,
            'compile': args.compile,
            'amp': args.amp,
            'fast': args.fast,
        }
        summary = summarize(rivals, {n: costs(rival) for n, rival in rivals.items()}, asked)
    output_console().print(*tables_of(summary))
    if args.json:
        mkdir_or_exist(str(args.json.parent))
        with written_whole(args.json) as path:
            path.write_text(json.dumps(summary, indent=2), encoding='utf-8')


def _choose_device(name: str | None) -> None:
    """MMEngine trains on a GPU where it sees one."""
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # lines of the profiler about itself
    if name == 'cpu' and get_device() != 'cpu':
        raise ConfigError('--device cpu: hide the GPU: CUDA_VISIBLE_DEVICES= python ...')
    if name == 'cuda' and not torch.cuda.is_available():
        raise ConfigError('--device cuda: PyTorch sees no GPU; take --device cpu')


if __name__ == '__main__':
    sys.exit(run(benchmark))
