"""What an exported file says of the evaluations before it."""

import pytest
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from rggan_mm.export.metadata import best_evaluation


def checkpoint(**values):
    buffers = {name: HistoryBuffer(found, [1] * len(found)) for name, found in values.items()}
    return {'message_hub': {'log_scalars': buffers}}


def saving(name, rule='less'):
    return Config({'default_hooks': {'checkpoint': {'save_best': name, 'rule': rule}}})


SCALARS = {
    'val/a/fid': [3.0, 1.0, 2.0],
    'val/a/n_fake': [7.0, 8.0, 9.0],
    'val/late/is': [5.0, 4.0],
    'val/time': [1.0, 1.0, 1.0],
    'train/loss': [0.0],
}


@pytest.mark.parametrize(
    ('config', 'wanted'),
    [
        (saving('a/fid'), {'a/fid': 1.0, 'a/n_fake': 8.0, 'late/is': 5.0}),
        (Config({}), {'a/fid': 1.0, 'a/n_fake': 8.0, 'late/is': 5.0}),
        (saving('a/fid', 'greater'), {'a/fid': 3.0, 'a/n_fake': 7.0}),
    ],
)
def test_the_best_evaluation_with_its_protocol(config, wanted):
    assert best_evaluation(config, checkpoint(**SCALARS)) == wanted


def test_a_reduced_checkpoint_knows_of_none():
    assert best_evaluation(saving('a/fid'), {}) == {}
