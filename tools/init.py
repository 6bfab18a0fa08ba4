"""The same as ``python -m rggan_mm init``."""

import sys

from rggan_mm.commands.init import main

if __name__ == '__main__':
    sys.exit(main())
