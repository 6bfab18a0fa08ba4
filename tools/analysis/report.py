"""Writes a report of one run or several; see rggan_mm/commands/report.py."""

import sys

from rggan_mm.commands.report import main

if __name__ == '__main__':
    sys.exit(main())
