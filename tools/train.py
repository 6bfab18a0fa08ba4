"""The same as ``python -m rggan_mm train``."""

import sys

from rggan_mm.commands.train import main

if __name__ == '__main__':
    sys.exit(main())
