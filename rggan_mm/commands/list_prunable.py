"""Lists what RG-GAN prunes in a model, and what it leaves dense for which reason.

python -m rggan_mm list-prunable configs/rg_sngan_cifar10_10pct.py
python -m rggan_mm list-prunable mmagic::dcgan/dcgan_1xb128-5epoches_lsun-bedroom-64x64.py
python -m rggan_mm list-prunable --families --markdown    # all of MMagic's, in short
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from rggan_mm.analysis.prunable import NetworkReport, inspect_config
from rggan_mm.commands.command_line import WIDE, add_cfg_options, output_console, run
from rggan_mm.commands.configs import read_config
from rggan_mm.errors import ConfigError

LAYER_COLUMNS = ('layer', 'class', 'shape', 'output dim', 'pruned', 'reason')
UNFOLDED = ('layer', 'class', 'shape')
SHORT_COLUMNS = ('model', 'network', 'pruned', 'of parameters', 'layers', 'left dense')


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='*', help='config files, or mmagic::FOLDER/FILE.py')
    parser.add_argument('--families', action='store_true', help="one of each of MMagic's families")
    parser.add_argument('--short', action='store_true', help='one row per network')
    parser.add_argument('--markdown', action='store_true', help='tables in Markdown')
    add_cfg_options(parser, 'rg_hooks.pruning.exclude="[\'generator.to_rgb*\']"')
    args = parser.parse_args()
    if not args.config and not args.families:
        parser.error('name a config, or --families')
    return args


def layer_table(report: NetworkReport, **style: object) -> Table:
    """One row per layer of a network."""
    table = _table(LAYER_COLUMNS, title=headline(report), **style)
    for info in report.layers:
        shape = 'x'.join(map(str, info.stored.shape)) if info.parameter else ''
        yes = 'yes' if info.prunable else 'no'
        out_dim = str(info.out_dim) if info.prunable else ''
        name = f'{report.name}.{info.name}'.rstrip('.')
        table.add_row(name, type(info.module).__name__, shape, out_dim, yes, info.reason)
    return table


def short_table(rows: Iterable[tuple[str, NetworkReport]], **style: object) -> Table:
    """One row per network of each model."""
    table = _table(SHORT_COLUMNS, **style)
    for title, report in rows:
        table.add_row(
            title,
            f'{report.name} ({report.role})',
            f'{len(report.pruned)} of {len(report.layers)} layers',
            f'{report.prunable_weights / max(report.parameters, 1):.2%}',
            ', '.join(f'{count} {name}' for name, count in report.classes().items()),
            ', '.join(f'{n} {name}: {why}' for (name, why), n in report.reasons().items()),
        )
    return table


def headline(report: NetworkReport) -> str:
    """A network in one line."""
    return (
        f'{report.name} ({report.role}): {len(report.pruned)} of {len(report.layers)} layers, '
        f'{report.prunable_weights:,} of {report.parameters:,} parameters are pruned'
    )


def _table(columns: Iterable[str], **style: object) -> Table:
    table = Table(title_justify='left', **style)
    for column in columns:
        # Names are for copying into patterns.
        table.add_column(column, overflow='fold', no_wrap=column in UNFOLDED)
    return table


def reports_of(args: argparse.Namespace) -> Iterable[tuple[str, list[NetworkReport]]]:
    """Title and networks of each model that the command line names."""
    named = [(name, name) for name in args.config]
    for title, name in [*named, *(families() if args.families else ())]:
        yield title, inspect_config(read_config(name, args.cfg_options))


def families() -> Iterator[tuple[str, str]]:
    """Title and config of each family of the developers' table that can be trained."""
    sys.path.append(str(Path(__file__).resolve().parents[2]))  # dev/ is not installed
    try:
        from dev.families import FAMILIES
    except ImportError:
        raise ConfigError('--families: needs a clone of the repository, for its dev/') from None

    for family in FAMILIES.values():
        if family.trainable:
            yield family.title, family.config


def show(args: argparse.Namespace, console: Console) -> None:
    """Prints the tables."""
    style = {'box': box.MARKDOWN} if args.markdown else {}
    if args.short or args.families:
        rows = [(title, report) for title, reports in reports_of(args) for report in reports]
        console.print(short_table(rows, **style))
        return
    for _, reports in reports_of(args):
        for report in reports:
            if report.role.startswith('average'):
                console.print(f'{headline(report)}; the same layers')
            else:
                console.print(layer_table(report, **style))


def write(args: argparse.Namespace, console: Console) -> None:
    """Prints without trailing blanks, which tables in Markdown come with."""
    with console.capture() as captured:
        show(args, console)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    sys.stdout.write('\n'.join(lines).strip('\n') + '\n')


def make_console(args: argparse.Namespace) -> Console:
    """A console as wide as the terminal; Markdown must not be folded."""
    return Console(width=WIDE) if args.markdown else output_console()


def main() -> int:
    """Prints; 1 with one line when there is nothing to list."""
    args = parse_args()
    return run(lambda: write(args, make_console(args)))
