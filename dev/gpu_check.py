"""Everything that is to be known about a machine with a GPU, in at most 8 minutes.

    python dev/gpu_check.py --out FOLDER
    python dev/gpu_check.py --device cpu --quick      # the same, tiny: does the command work?

bench        tools/benchmark.py of the published SNGAN (float32, bfloat16) and of StyleGAN2 at 256
replay       recordings of the published training step, on the GPU in float64
tests        those that need a GPU
digits       a short training with its samples
evaluation   an evaluation of 10,000 images

Nothing is downloaded. Benchmarks run first and alone, then the other parts side by side. Each
has a time limit and a log in FOLDER; FOLDER/gpu_check.json is written anew after each.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch
from rich.console import Console

from dev.checks.figures import environment
from dev.checks.jobs import LEFT_OUT, OK, Job, Outcome, run_together
from dev.checks.parts import BENCH_SECONDS, PARTS, ROOT, Jobs
from dev.checks.tables import tables_of
from rggan_mm.errors import ConfigError
from rggan_mm.files import check_writable, written_whole

RESULT = 'gpu_check.json'
WIDTH = 120  # of tables in a file
LEAST_SECONDS = 15  # a benchmark with less than that would only be killed


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--parts', nargs='+', choices=PARTS, default=PARTS, metavar='PART', help='default: all')
    add('--device', choices=('auto', 'cpu', 'cuda'), default='auto', help='default: %(default)s')
    add('--quick', action='store_true', help='everything tiny; the figures mean nothing')
    add('--out', type=Path, default=Path('work_dirs/gpu_check'), help='default: %(default)s')
    return parser.parse_args()


class Check:
    """A check under way.

    Args:
        args: The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.start = time.monotonic()
        console = Console()
        self.console = console if console.is_terminal else Console(width=WIDTH)
        self.out = args.out.resolve()
        check_writable(self.out / RESULT)
        self.variables = _variables()
        self.found = {
            'environment': environment(),
            'quick': args.quick,
            'seconds': 0.0,
            'parts': {},
        }

    def bench(self, jobs: list[Job]) -> None:
        """Runs benchmarks one after the other, for as long as their time lasts."""
        end = time.monotonic() + BENCH_SECONDS
        for job in jobs:
            if end - time.monotonic() < LEAST_SECONDS:
                self._note({job.name: Outcome(LEFT_OUT, error='no time was left')})
                continue
            self.together([job], end - time.monotonic())

    def together(self, jobs: list[Job], limit: float = float('inf')) -> None:
        """Runs jobs side by side, notes and saves how they ended."""
        self._note(run_together(jobs, ROOT, self.variables, limit))

    def _note(self, outcomes: dict[str, Outcome]) -> None:
        for name, outcome in outcomes.items():
            self.found['parts'][name] = outcome.as_dict()
            line = f'{name}: {outcome.state}, {outcome.seconds:.0f} s'
            self.console.print(line, outcome.error or '', markup=False, highlight=False)
        self.found['seconds'] = time.monotonic() - self.start
        with written_whole(self.out / RESULT) as path:
            path.write_text(json.dumps(self.found, indent=2), encoding='utf-8')


def check(args: argparse.Namespace) -> bool:
    """Runs the parts; whether all of them ended well."""
    if args.device == 'cpu':  # a GPU can only be hidden
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise ConfigError('--device cuda: PyTorch sees no GPU; take --device cpu')
    doing, jobs = Check(args), Jobs(args.out.resolve(), args.quick)
    if 'bench' in args.parts:
        doing.bench(jobs.bench())
    doing.together(jobs.rest(set(args.parts)))
    doing.console.print(*tables_of(doing.found))
    return all(part['state'] == OK for part in doing.found['parts'].values())


def _variables() -> dict[str, str]:
    """The environment of all jobs."""
    variables = dict(os.environ, PYTHONUNBUFFERED='1')
    variables['PYTHONPATH'] = os.pathsep.join(
        filter(None, (str(ROOT), variables.get('PYTHONPATH')))
    )
    return variables


def main() -> int:
    """Checks; 1 when a part did not end well, or with one line when the input is bad.

    It needs PyTorch alone: where MMagic cannot be imported, the parts say so.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # jobs end with this command
    try:
        return 0 if check(parse_args()) else 1
    except ConfigError as error:
        sys.stderr.write(f'error: {error}\n')
        return 1


if __name__ == '__main__':
    sys.exit(main())
