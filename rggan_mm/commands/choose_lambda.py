"""Chooses lambda, the weight of the sparsity regulariser, by what it does to thresholds.

python -m rggan_mm choose-lambda --steps 79000 --threshold 0.05     which lambda?
python -m rggan_mm choose-lambda --steps 79000 --lam 1e-13          which threshold?
python -m rggan_mm choose-lambda CONFIG                             what its lambda does
python -m rggan_mm choose-lambda CONFIG --threshold 0.05            which lambda?
python -m rggan_mm choose-lambda CONFIG --keep-ratio 0.7            which lambda?

Each network of CONFIG has a line, with the steps that its optimiser makes; the keep ratio is the
share of its initial weights above the threshold. Thresholds rise in sparse phases only: give
--sparse-share 0.5 if half of the steps are dense. Trained weights move, and stay
below a threshold once they are: a run ends with fewer than the table says. The hook's keep_ratio
follows the weights.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rggan_mm.analysis.lambda_choice import Outcome, Thresholds, outcome, read_thresholds
from rggan_mm.commands.command_line import add_cfg_options, output_console, run
from rggan_mm.errors import ConfigError
from rggan_mm.pruning.calibration import EPS, LR

FORMAT = argparse.RawDescriptionHelpFormatter


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=FORMAT)
    add = parser.add_argument
    add('config', nargs='?', help='config file, or mmagic::FOLDER/FILE.py')
    add('--steps', type=int, help='optimiser steps, in place of a config')
    add('--sparse-share', type=float, default=1.0, help='share of sparse steps; default: 1')
    add('--lr', type=float, help=f"of the thresholds; default: the config's, or {LR:g}")
    add('--eps', type=float, help=f"of their Adam; default: the config's, or {EPS:g}")
    add('--checkpoint', type=Path, help="weights to count; default: the config's initial ones")
    add_cfg_options(parser, 'train_cfg.max_iters=2000')
    wish = parser.add_mutually_exclusive_group()
    wish.add_argument('--threshold', type=float, help='threshold to reach')
    wish.add_argument('--lam', type=float, help='lambda to try')
    wish.add_argument('--keep-ratio', type=float, help='share of the weights to keep')
    return parser.parse_args()


def read_cases(args: argparse.Namespace) -> list[Thresholds]:
    """The networks of the config, or one without weights for ``--steps``."""
    if not 0 < args.sparse_share <= 1:
        raise ConfigError(f'--sparse-share {args.sparse_share} must be above 0 and at most 1')
    if args.config is None:
        cases = [steps_only(args)]
    elif args.steps is not None:
        raise ConfigError(f'--steps {args.steps}: the config has its own; give one of the two')
    else:
        cases = read_thresholds(args.config, args.cfg_options, args.checkpoint)
    given = {name: getattr(args, name) for name in ('lr', 'eps') if getattr(args, name) is not None}
    return [replace(case, steps=case.steps * args.sparse_share, **given) for case in cases]


def steps_only(args: argparse.Namespace) -> Thresholds:
    """A case from the command line alone."""
    if args.steps is None:
        raise ConfigError('give a config or --steps')
    if args.threshold is None and args.lam is None:
        raise ConfigError('--steps needs --threshold or --lam; --keep-ratio needs a config')
    if args.checkpoint or args.cfg_options:
        raise ConfigError('--checkpoint and --cfg-options need a config')
    return Thresholds('', args.steps, lam=0.0, lr=LR, eps=EPS)


def build_table(cases: list[Thresholds], outcomes: list[Outcome], sparse_share: float) -> Table:
    """One line a network."""
    caption = f'lr {cases[0].lr:g}, eps {cases[0].eps:g}, sparse share {sparse_share:g}'
    table = Table(caption=caption, caption_justify='left')
    table.add_column('network', no_wrap=True)
    weights = any(found.keep_ratio is not None for found in outcomes)
    names = ['steps', 'lambda', 'threshold']
    names += ['keep ratio', 'collapsed layers'] if weights else []
    for name in names:
        table.add_column(name, justify='right')
    for case, found in zip(cases, outcomes, strict=True):
        row = [case.network or '-', f'{case.steps:,.0f}']
        row += [f'{found.lam:.4g}', f'{found.threshold:.4g}']
        if weights:
            row += [f'{found.keep_ratio:.1%}', f'{found.collapsed} of {len(case.magnitudes)}']
        table.add_row(*row)
    return table


def advice(
    cases: list[Thresholds], outcomes: list[Outcome], args: argparse.Namespace
) -> Iterator[str]:
    """What to write into a config, and what the numbers leave out."""
    if args.config:
        yield 'trained weights move: a run keeps less; keep_ratio in place of lam holds a share'
    if cases[0].mode == 'ste':
        yield "mode 'ste': the task's own gradient comes on top"
    for case, found in zip(cases, outcomes, strict=True):
        if found.collapsed and found.collapsed == len(case.magnitudes):
            yield f'{case.network}: every layer collapses and is reset; a smaller lambda does more'
    if args.config and (args.threshold is not None or args.keep_ratio is not None):
        lam = ', '.join(
            f'{case.network}={found.lam:.3g}' for case, found in zip(cases, outcomes, strict=True)
        )
        # Only one of lam and keep_ratio may be set; reach is of a keep ratio.
        others = '' if cases[0].keep_ratio is None else ', keep_ratio=None, reach=None'
        yield f'rg_hooks = dict(pruning=dict(lam=dict(_delete_=True, {lam}){others}))'


def answer(case: Thresholds, args: argparse.Namespace) -> Outcome:
    """What is asked of one network; errors name it."""
    try:
        return outcome(case, args.threshold, args.lam, args.keep_ratio)
    except ConfigError as error:
        raise ConfigError(f'{case.network}: {error}' if case.network else str(error)) from error


def show(args: argparse.Namespace) -> None:
    """Prints the table and the advice."""
    cases = read_cases(args)
    outcomes = [answer(case, args) for case in cases]
    output_console().print(build_table(cases, outcomes, args.sparse_share))
    for line in advice(cases, outcomes, args):
        Console(soft_wrap=True, highlight=False).print(line)


def main() -> int:
    """Prints the table; 1 with one line when no lambda does what is asked for."""
    args = parse_args()
    return run(lambda: show(args))
