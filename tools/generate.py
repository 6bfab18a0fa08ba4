"""The same as ``python -m rggan_mm generate``."""

import sys

from rggan_mm.commands.generate import main

if __name__ == '__main__':
    sys.exit(main())
