"""The same as ``python -m rggan_mm prepare-images``."""

import sys

from rggan_mm.commands.prepare_images import main

if __name__ == '__main__':
    sys.exit(main())
