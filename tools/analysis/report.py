"""The same as ``python -m rggan_mm report``."""

import sys

from rggan_mm.commands.report import main

if __name__ == '__main__':
    sys.exit(main())
