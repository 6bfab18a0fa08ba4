"""Runs a study: several methods, each with several seeds, and compares them.

python -m rggan_mm study studies/digits_35.py --jobs 2
python -m rggan_mm study studies/digits_35.py --methods dense rg --seeds 10 11
python -m rggan_mm study studies/digits_35.py --results-only    # of what is there
python -m rggan_mm study studies/digits_35.py --submit slurm --jobs 20    # a job array

The same command goes on where a study was stopped. docs/studies.md says what a study file is.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import DictAction
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rggan_mm.analysis.study import Run, Study, read_study
from rggan_mm.analysis.study.cluster_runs import submit_runs
from rggan_mm.analysis.study.local_runs import run_here
from rggan_mm.analysis.study.lock import holder
from rggan_mm.analysis.study.results import method_table, run_table
from rggan_mm.analysis.study.tables import methods_as_tables, notes
from rggan_mm.analysis.study.time_left import TimeLeft
from rggan_mm.analysis.study.writing import write_results
from rggan_mm.errors import ConfigError

from .command_line import output_console, positive, run

FORMAT = argparse.RawDescriptionHelpFormatter
CONSOLE = output_console()


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=FORMAT)
    add = parser.add_argument
    add('study', type=Path, metavar='STUDY.py', help='study file')
    add('--methods', nargs='+', metavar='NAME', help='run these methods only')
    add('--seeds', nargs='+', type=int, metavar='SEED', help='run these seeds only')
    add('--jobs', type=positive, default=1, help='runs at a time (1)')
    add('--work-dir', type=Path, default=Path('work_dirs'), help='folder of studies (work_dirs)')
    add('--rerun', action='store_true', help='make runs anew that were made with another config')
    add('--results-only', action='store_true', help='run nothing')
    add('--submit', choices=['slurm', 'local'], help='hand the runs to SLURM, or try it here')
    add(
        '--submit-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help="submitit's parameters, such as timeout_min=600 gpus_per_node=1 slurm_partition=gpu",
    )
    return parser.parse_args()


def study(args: argparse.Namespace) -> None:
    """Runs what is missing, then writes and prints the results."""
    plan = read_study(args.study, args.work_dir)
    todo = [] if args.results_only else to_do(plan.chosen(args.methods, args.seeds), args.rerun)
    try:
        if todo and args.submit:
            submit(plan, todo, args.submit, args.jobs, args.submit_options)
        elif todo:
            with progress(todo) as follow:
                run_here(todo, args.jobs, follow)
    finally:
        show_results(plan)


def to_do(runs: Sequence[Run], rerun: bool) -> list[Run]:
    """The runs that are not done.

    Args:
        runs: What was asked for.
        rerun: Whether runs of another config are made anew.

    Raises:
        ConfigError: There is a run of another config, and they are not to be made anew; or a
            process trains one of the runs already.
    """
    changed = [run for run in runs if run.state() == 'changed']
    if changed and not rerun:
        raise ConfigError(
            f'{changed[0].folder} (and {len(changed) - 1} more) was made with another config; '
            '--rerun removes it and runs it anew, --work-dir takes another folder'
        )
    todo = [run for run in runs if run.state() != 'done']
    for one in todo:
        at_work = holder(one.folder)
        if at_work:
            raise ConfigError(
                f'{one.folder}: {at_work} trains this run already; wait, or end it: it saves itself'
            )
    return todo


def submit(plan: Study, runs: list[Run], cluster: str, jobs: int, options: dict) -> None:
    """Hands runs to a cluster and says where its logs are."""
    folder = plan.folder / 'jobs'
    for one, job in zip(runs, submit_runs(runs, cluster, folder, jobs, options), strict=True):
        CONSOLE.print(f'{one.name}: job {job.job_id}')
    CONSOLE.print(f'submitted; logs of the jobs: {folder}; results later: --results-only')


@contextmanager
def progress(runs: Sequence[Run]) -> Iterator[Callable]:
    """A line for each run that ends, and on a terminal a bar; both with the remaining time."""
    total = sum(run.iterations for run in runs)
    time_left = TimeLeft(runs)
    said = 0

    def follow(active: list[Run], ended: list[Run]) -> None:
        nonlocal said
        for count, one in enumerate(ended[said:], said + 1):
            line = time_left.line(active, ended[:count])
            bar.console.print(f'{one.name}: {one.record()["state"]} ({line})', highlight=False)
        said = len(ended)
        done = sum(one.iterations for one in ended) + sum(one.reached() for one in active)
        text = f'{len(ended)} of {len(runs)} runs ended, {len(active)} at work'
        bar.update(task, completed=done, description=text)

    columns = (TextColumn('{task.description}'), BarColumn())
    times = (TimeElapsedColumn(), TextColumn('remaining'), TimeRemainingColumn())
    hidden = not CONSOLE.is_terminal
    with Progress(
        *columns, *times, console=CONSOLE, speed_estimate_period=3600, disable=hidden
    ) as bar:
        task = bar.add_task('', total=total)
        yield follow


def show_results(plan: Study) -> None:
    """Writes the files and prints the table."""
    runs = run_table(plan)
    methods = method_table(plan, runs)
    write_results(plan, runs, methods, sys.argv)
    for table in methods_as_tables(plan, methods, CONSOLE.width):
        CONSOLE.print(table)
    for line in notes(plan, runs):
        CONSOLE.print(line, markup=False, highlight=False)
    CONSOLE.print(f'written: {plan.folder}/results.md, results.csv, runs.csv, results.png')


def main() -> int:
    """Runs a study; 1 with one line when the input is bad, 130 when it was stopped."""
    try:
        return run(lambda: study(parse_args()))
    except KeyboardInterrupt:
        sys.stderr.write('stopped; the same command goes on\n')
        return 130
