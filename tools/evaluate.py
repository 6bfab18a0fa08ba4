"""The same as ``python -m rggan_mm evaluate``."""

import sys

from rggan_mm.commands.evaluate import main

if __name__ == '__main__':
    sys.exit(main())
