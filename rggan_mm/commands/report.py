"""Writes a report of one run or several: one HTML file that opens without a network.

python -m rggan_mm report work_dirs/rg_sngan_digits_35
python -m rggan_mm report WORK_DIR WORK_DIR -o report.html     # beside each other
"""

import argparse
import sys
from pathlib import Path

from rggan_mm.errors import ConfigError

from .command_line import run


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dir', nargs='+', type=Path, help='work dirs of the runs')
    parser.add_argument(
        '-o',
        '--output',
        type=Path,
        metavar='FILE.html',
        help='where it goes (default: report.html in the first work dir)',
    )
    parser.add_argument('--metric', help='full name of the metric (default: the first FID)')
    return parser.parse_args()


def write(args: argparse.Namespace) -> None:
    """Writes the report and says where it is."""
    try:
        from rggan_mm.analysis.report_page import write_report
    except ImportError as error:
        raise ConfigError(
            f"the report needs the package {error.name}: pip install bokeh, or the extra 'report'"
        ) from None
    path = args.output or args.work_dir[0] / 'report.html'
    write_report(args.work_dir, path, args.metric)
    sys.stdout.write(f'report: {path} ({path.stat().st_size / 1e6:.1f} MB)\n')


def main() -> int:
    """Writes; 1 with one line when there is nothing to show."""
    args = parse_args()
    return run(lambda: write(args))
