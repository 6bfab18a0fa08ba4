"""The same as ``python -m rggan_mm study``."""

import sys

from rggan_mm.commands.study import main

if __name__ == '__main__':
    sys.exit(main())
