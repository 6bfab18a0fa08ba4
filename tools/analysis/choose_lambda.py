"""The same as ``python -m rggan_mm choose-lambda``."""

import sys

from rggan_mm.commands.choose_lambda import main

if __name__ == '__main__':
    sys.exit(main())
