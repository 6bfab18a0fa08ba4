"""Runs a study: several methods, each with several seeds, and compares them.

python tools/study.py studies/digits_5pct.py --jobs 2
python tools/study.py --help
"""

import sys

from rggan_mm.commands.study import main

if __name__ == '__main__':
    sys.exit(main())
