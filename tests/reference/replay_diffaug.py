"""Replay recorded DiffAugment arrays and report the largest error.

    python tests/reference/replay_diffaug.py FILE.npz [FILE.npz ...]

Prints one line a file and exits 1 if any error is above 1e-12.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

try:
    from rggan_mm.datasets.transforms import diff_augment
except ModuleNotFoundError as error:
    if error.name != 'rggan_mm':
        raise
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from rggan_mm.datasets.transforms import diff_augment

TOLERANCE = 1e-12


def largest_error(path: str) -> float:
    """Largest |ours - recorded| over all cases of one file; NaN counts as infinite.

    Args:
        path: npz file with ``i/seed``, ``i/policy``, ``i/x`` and ``i/y``.

    Raises:
        ValueError: The file holds no case.
    """
    with np.load(path) as data:
        cases = sorted({key.split('/')[0] for key in data.files if key.endswith('/y')})
        if not cases:
            raise ValueError(f'{path}: no recorded case')
        return max(_case_error(data, case) for case in cases)


def _case_error(data: np.lib.npyio.NpzFile, case: str) -> float:
    torch.manual_seed(int(data[f'{case}/seed']))
    ours = diff_augment(torch.from_numpy(data[f'{case}/x']), str(data[f'{case}/policy']))
    error = np.abs(ours.numpy() - data[f'{case}/y'])
    return float(np.nan_to_num(error, nan=np.inf, posinf=np.inf).max())


def main(argv: list[str] | None = None) -> int:
    """Check every file named on the command line; 0 if all agree, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='+', metavar='FILE.npz')
    errors = {path: largest_error(path) for path in parser.parse_args(argv).files}
    for path, error in errors.items():
        sys.stdout.write(f'{path}: largest error {error:.3g}\n')
    return int(max(errors.values()) > TOLERANCE)


if __name__ == '__main__':
    sys.exit(main())
