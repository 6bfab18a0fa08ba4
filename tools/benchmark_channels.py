"""Times a generator with part of its hidden channels against the whole one.

    OMP_NUM_THREADS=1 python tools/benchmark_channels.py --shares 0.5 0.25

The config's generator at random weights, and copies with a share of the channels that can be
cut (docs/export.md), live in one process and take turns, in PyTorch (its default memory format,
and channels last) and in onnxruntime, one thread each. Times are those of the processor, without
waiting for other processes. A ratio is the median of the turns' ratios to the whole generator
beside it, in brackets the middle half of them.
"""

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rggan_mm.plugin  # noqa: F401  registers what configs name
from rggan_mm.analysis.calling import Images
from rggan_mm.analysis.model_building import build_model, quiet
from rggan_mm.commands.command_line import output_console, positive, run
from rggan_mm.commands.configs import read_config
from rggan_mm.errors import ConfigError
from rggan_mm.export.baking import bake
from rggan_mm.export.onnx_file import save_onnx
from rggan_mm.export.shrinking import shrink
from rggan_mm.export.sizes import macs_of, parameters_of
from rggan_mm.pruning.channel_groups import find_groups
from rggan_mm.pruning.layers import in_dim

CONFIG = str(Path(__file__).resolve().parents[1] / 'configs' / 'rg_sngan_cifar10_10pct.py')
WARM_UP = 1  # turns that do not count
CHECKED = 4  # samples, of a smaller generator and of an ONNX file
COLUMNS = ('hidden channels', 'parameters', 'MACs', 'batch', 'runtime', 'ms', 'ratio')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--config', default=CONFIG, help='a config with a generator (default %(default)s)')
    add('--shares', nargs='+', type=float, default=[0.5, 0.25], help='of channels that are left')
    add('--batch-sizes', nargs='+', type=positive, default=[1, 64])
    add('--turns', type=positive, default=20, help='turns that count (default %(default)s)')
    add('--json', action='store_true', help='print the figures as JSON')
    return parser.parse_args()


def generator_of(config: str) -> Images:
    """The config's generator at its initial weights, baked."""
    with quiet():
        model = build_model(read_config(config, None), initialize=True)
    images = Images(model.generator)
    model.generator.eval()
    bake(model.generator)
    return images


@torch.no_grad()
def with_share(whole: Images, share: float) -> Images:
    """A copy of a generator with a share of the channels that can be cut."""
    if not 0 < share < 1:
        raise ConfigError(f'--shares {share}: must be a number above 0 and below 1')
    images = copy.deepcopy(whole)
    network, inputs = images.network, images.example(1)
    for group in find_groups(network, lambda: images(*inputs)):
        reader = network.get_submodule(group.consumer)
        columns = reader.weight.transpose(0, in_dim(reader))
        columns[max(1, round(share * len(columns))) :] = 0
    shrink(images, CHECKED)
    return images


class Rival:
    """One generator in one runtime at one batch size."""

    def __init__(self, images: Images, runtime: str, batch: int, call: Callable[[], object]):
        self.parameters = parameters_of(images.network)
        one = images.example(1)
        self.macs, _ = macs_of(images.network, lambda: images(*one), {})
        self.runtime, self.batch, self._call = runtime, batch, call
        self.milliseconds: list[float] = []

    def time(self) -> None:
        """Times one call."""
        start = time.process_time()
        self._call()
        self.milliseconds.append((time.process_time() - start) * 1000)


def rivals_of(images: Images, batches: list[int], folder: Path) -> list[Rival]:
    """A generator in all runtimes at all batch sizes."""
    session = _session(images, folder)
    last = copy.deepcopy(images)
    last.network.to(memory_format=torch.channels_last)
    rivals = []
    for batch in batches:
        inputs = images.example(batch)
        given = {n: v.numpy() for n, v in zip(images.names, inputs, strict=True)}
        rivals += [
            Rival(images, 'PyTorch', batch, lambda inputs=inputs: _no_grad(images, inputs)),
            Rival(
                *(last, 'PyTorch, channels last', batch),
                lambda inputs=inputs: _no_grad(last, inputs),
            ),
            Rival(images, 'onnxruntime', batch, lambda given=given: session.run(None, given)),
        ]
    return rivals


def compete(args: argparse.Namespace) -> dict[str, list[Rival]]:
    """Lets generators take turns; rivals by the share of channels."""
    whole = generator_of(args.config)
    generators = {'all': whole, **{f'{s:g}': with_share(whole, s) for s in args.shares}}
    with tempfile.TemporaryDirectory() as folder:
        teams = {n: rivals_of(g, args.batch_sizes, Path(folder)) for n, g in generators.items()}
    console, turns = Console(stderr=True), range(args.turns + WARM_UP)
    for _ in track(turns, 'turns', console=console, transient=True):
        for same in zip(*teams.values(), strict=True):  # those that are compared, side by side
            for rival in same:
                rival.time()
    return teams


def figures_of(teams: dict[str, list[Rival]]) -> list[dict]:
    """A record for each rival."""
    records = []
    for name, team in teams.items():
        for rival, whole in zip(team, teams['all'], strict=True):
            pairs = zip(rival.milliseconds[WARM_UP:], whole.milliseconds[WARM_UP:], strict=True)
            ratios = [ours / theirs for ours, theirs in pairs]
            low, middle, high = statistics.quantiles(ratios, n=4)
            records.append(
                {
                    'hidden channels': name,
                    'parameters': rival.parameters,
                    'macs': rival.macs,
                    'batch': rival.batch,
                    'runtime': rival.runtime,
                    'milliseconds': statistics.median(rival.milliseconds[WARM_UP:]),
                    'ratio': middle,
                    'middle half': [low, high],
                }
            )
    return records


def benchmark() -> None:
    """Prints the table."""
    args = parse_args()
    if args.turns < 2:
        raise ConfigError(f'--turns {args.turns}: a spread needs 2 at least')
    torch.set_num_threads(1)
    records = figures_of(compete(args))
    if args.json:
        sys.stdout.write(json.dumps(records, indent=1) + '\n')
        return
    table = Table(*COLUMNS, title=f'{Path(args.config).name}, {args.turns} turns')
    for r in records:
        low, high = r['middle half']
        table.add_row(
            *(r['hidden channels'], f'{r["parameters"]:,}', f'{r["macs"]:,}', str(r['batch'])),
            *(r['runtime'], f'{r["milliseconds"]:.1f}'),
            f'{r["ratio"]:.3f} [{low:.3f}, {high:.3f}]',
        )
    output_console().print(table)


def _session(images: Images, folder: Path) -> onnxruntime.InferenceSession:
    path = folder / 'generator.onnx'
    save_onnx(path, images, {}, CHECKED)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])


@torch.no_grad()
def _no_grad(network: nn.Module, inputs: list) -> None:
    network(*inputs)


if __name__ == '__main__':
    sys.exit(run(benchmark))
