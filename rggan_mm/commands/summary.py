"""Prints a short summary of a run.

python -m rggan_mm summary work_dirs/rg_sngan_digits_35
"""

import argparse
import sys
from pathlib import Path

from rich.table import Table

from rggan_mm.analysis import summarize
from rggan_mm.errors import ConfigError

from .command_line import output_console


def main() -> int:
    """Prints the table; 1 with one line when there is nothing to sum up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work_dir', type=Path, help='work dir of the run')
    parser.add_argument('--metric', help='full name of the metric (default: the first FID)')
    args = parser.parse_args()
    try:
        summary = summarize(args.work_dir, args.metric)
    except ConfigError as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    table = Table(title=str(args.work_dir), show_header=False, title_justify='left')
    table.add_column()
    table.add_column(overflow='fold')
    for label, text in summary.rows():
        table.add_row(label, text)
    output_console().print(table)
    return 0
