"""The published training step, number for number."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from replay import TOLERANCE, main, replay

DATA = Path(__file__).parent / 'data'
RECORDINGS = ['rg_step_a.npz', 'ste_step_a.npz']


@pytest.mark.parametrize('at_step', [False, True], ids=['as-published', 'as-hooks'])
@pytest.mark.parametrize('name', RECORDINGS)
def test_recording_is_reproduced(name, at_step):
    error, where = replay(DATA / name, at_step)
    assert error <= TOLERANCE, where


def _altered(tmp_path, array, change):
    with np.load(DATA / RECORDINGS[0]) as arrays:
        copy = dict(arrays)
    copy[array] = change(copy[array])
    path = tmp_path / 'altered.npz'
    np.savez(path, **copy)
    return path


@pytest.mark.parametrize(
    ('array', 'change'),
    [
        ('after/3/G/linear.threshold', lambda x: x + 1e-5),
        ('losses', lambda x: x + 1e-5),
        ('eval/ema_images', lambda x: x * np.nan),
        ('meta', lambda x: np.array(str(x).replace('"lam": 0.001', '"lam": 0.0011'))),
        ('meta', lambda x: np.array(str(x).replace('"ema": 0.999', '"ema": 0.99'))),
        ('meta', lambda x: np.array(str(x).replace('"critic": 2', '"critic": 4'))),
        ('meta', lambda x: np.array(str(x).replace('[0.0, 0.9]', '[0.0, 0.95]'))),
    ],
    ids=['threshold', 'loss', 'images', 'lam', 'ema', 'critic', 'betas'],
)
def test_a_difference_is_found(tmp_path, array, change, monkeypatch, capsys):
    path = _altered(tmp_path, array, change)
    monkeypatch.setattr(sys, 'argv', ['replay.py', str(path)])
    assert main() == 1
    assert 'above' in capsys.readouterr().out
