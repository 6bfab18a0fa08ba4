"""The same as ``python -m rggan_mm list-prunable``."""

import sys

from rggan_mm.commands.list_prunable import main

if __name__ == '__main__':
    sys.exit(main())
