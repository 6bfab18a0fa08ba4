"""Lets a small training run meet faults, resumes it and compares it with an uninterrupted run.

    python tools/fault_test.py --trials 50

Each trial draws one fault: kill -9 at a random moment or while a checkpoint is written, a full
disk, a damaged checkpoint, a deleted file. The run is resumed, at times killed and resumed
again, and must end with the weights, optimisers, averages, phases and metrics of the
uninterrupted run, bit for bit, having lost nothing beyond its last completed save.
A full disk is a limit of the system on the size of files (RLIMIT_FSIZE), so that no special
rights are needed: the write that exceeds it fails as it does without space.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import torch
from mmengine.config import Config, DictAction
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import rggan_mm.plugin  # noqa: F401  registers what configs name
from dev.faults.fault_kinds import FAULTS
from dev.faults.trials import FaultTest, Result
from rggan_mm.commands.command_line import output_console
from rggan_mm.commands.configs import merge_changes, read_config
from rggan_mm.errors import ConfigError
from rggan_mm.hooks.groups import hooks_of, kind_of

DIGITS = Path(__file__).resolve().parents[1] / 'configs' / 'rg_sngan_digits_10pct.py'
# Long enough for the phases to change: that takes five evaluations.
SCHEDULE = {
    'train_cfg.max_iters': 40,
    'train_cfg.val_interval': 5,
    'default_hooks.checkpoint.interval': 4,
    'default_hooks.logger.interval': 1,  # the moments of faults are read from the log
}
TINY = {
    'train_dataloader.batch_size': 8,
    'val_evaluator.metrics.0.fake_nums': 20,
    'test_evaluator.metrics.0.fake_nums': 20,
    'val_dataloader.batch_size': 10,
    'model.generator.base_channels': 4,
    'model.discriminator.base_channels': 4,
    # It comes with a gc.collect() over all that the parent has imported.
    'train_dataloader.dataset.serialize_data': False,
    'val_dataloader.dataset.serialize_data': False,
}


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--trials', type=int, default=50, help='default: 50')
    add('--config', type=Path, help='default: the digits, with tiny networks')
    add('--cfg-options', nargs='+', action=DictAction, help='overrides of the config, KEY=VALUE')
    add('--faults', nargs='+', choices=list(FAULTS), default=list(FAULTS), help='default: all')
    add('--seed', type=int, default=0, help='draws faults and moments; default: 0')
    add('--work-dir', type=Path, help='keeps the runs that did not survive; default: temporary')
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """The config, small enough for many runs."""
    config = read_config(str(args.config or DIGITS))
    merge_changes(config, SCHEDULE)
    if args.config is None:
        merge_changes(config, TINY)
    merge_changes(config, args.cfg_options or {})
    for hook in hooks_of(config):
        if kind_of(hook) == 'SampleGridHook':
            hook['rows'] = 2
    return config


@contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    """The folder, or a temporary one."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix='rggan_mm_faults_') as temporary:
        yield Path(temporary)


def run_trials(args: argparse.Namespace, folder: Path) -> list[Result]:
    """Runs the trials, each kind of fault in turn."""
    test = FaultTest(load_config(args), folder)
    results = []
    for number in range(args.trials):
        fault = args.faults[number % len(args.faults)]
        random = Random(f'{args.seed} {number}')
        results.append(test.trial(number, fault, random))
        sys.stderr.write(f'trial {number} ({fault}): {results[-1].trouble or "survived"}\n')
    return results


def report(results: list[Result]) -> Table:
    """Counts by fault."""
    table = Table(title=f'{len(results)} trials, torch {torch.__version__}')
    for column in ('fault', 'trials', 'struck', 'resumes', 'survived'):
        table.add_column(column, justify='left' if column == 'fault' else 'right')
    for fault in dict.fromkeys(result.fault for result in results):
        table.add_row(fault, *counts([r for r in results if r.fault == fault]))
    table.add_section()
    table.add_row('all', *counts(results))
    return table


def counts(results: list[Result]) -> list[str]:
    """Trials, how many struck as meant, resumes, and how many survived."""
    numbers = (
        len(results),
        sum(result.hit for result in results),
        sum(result.resumes for result in results),
        sum(not result.trouble for result in results),
    )
    return [str(number) for number in numbers]


def main() -> int:
    """Prints the table; 1 when a run did not survive, or with one line for bad input."""
    torch.set_num_threads(1)  # runs are forked: no threads before
    args = parse_args()
    if args.trials < 1:
        sys.stderr.write(f'error: --trials {args.trials} must be at least 1\n')
        return 1
    try:
        with scratch(args.work_dir) as folder:
            results = run_trials(args, folder)
    except ConfigError as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    output_console().print(report(results))
    return 1 if any(result.trouble for result in results) else 0


if __name__ == '__main__':
    sys.exit(main())
