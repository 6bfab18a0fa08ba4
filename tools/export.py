"""The same as ``python -m rggan_mm export``."""

import sys

from rggan_mm.commands.export import main

if __name__ == '__main__':
    sys.exit(main())
