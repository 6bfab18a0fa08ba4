"""The same as ``python -m rggan_mm summary``."""

import sys

from rggan_mm.commands.summary import main

if __name__ == '__main__':
    sys.exit(main())
