"""The same as ``python -m rggan_mm test``."""

import sys

from rggan_mm.commands.test import main

if __name__ == '__main__':
    sys.exit(main())
