"""What a person reads while a run trains, and that its numbers stay whole."""

import json

import pytest
from mmengine.runner import LogProcessor
from tiny import ROOT, Records, tiny_runner

from rggan_mm.hooks.log_lines import ShortLogProcessor, with_short_lines

DENSE = ROOT / 'configs' / 'sngan_digits_10pct.py'


def lines(tmp_path, *args, **overrides):
    runner = tiny_runner(tmp_path, *args, **overrides)
    records = Records(runner)
    runner.train()
    return records.having('[6/6] ('), records.having('[36/36] digits'), runner


def test_a_line_says_how_far_the_run_is_and_what_is_kept(tmp_path):
    (training,), validations, runner = lines(tmp_path)
    progress, *parts = training.split(', ')
    assert progress == 'Iter(train) [6/6] (100%)'
    assert parts[:2] == ['0:00:00 left', 'sparse phase']
    hub = runner.message_hub.log_scalars
    kept = {
        name: hub[f'train/{name}_keep_ratio'].current() for name in ('generator', 'discriminator')
    }
    assert parts[2:4] == [
        f'kept: generator {kept["generator"]:.3f}',
        f'discriminator {kept["discriminator"]:.3f}',
    ]
    # The validation of iteration 6 comes after its line.
    fifth = hub['val/digits/fid'].data[0][-2]
    assert parts[4:] == [f'last digits/fid {fifth:.4g}']
    assert len(validations) == 6
    protocol = 'n_real 360, n_fake 20, reference Digits test, extractor digits-v1'
    last = hub['val/digits/fid'].current()
    assert validations[-1].startswith(f'Iter(val) [36/36] digits/fid: {last:.4g} ({protocol}')


def test_a_dense_run_has_no_phase(tmp_path):
    (training,), validations, _ = lines(tmp_path, DENSE)
    assert 'phase' not in training + validations[-1]
    assert 'kept' not in training + validations[-1]


def test_the_numbers_are_those_of_the_library(tmp_path):
    *_, runner = lines(tmp_path)
    (path,) = tmp_path.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    names = {'generator.lr', 'loss_gen', 'time', 'generator_threshold', 'generator_keep_ratio'}
    row = next(row for row in rows if row.get('iter') == 6)
    assert names <= set(row)
    assert row['sparse_phase'] == 1
    assert runner.log_processor.__class__ is ShortLogProcessor


@pytest.mark.parametrize('kind', ['LogProcessor', LogProcessor])
def test_mmengines_own_is_replaced_and_no_other(kind):
    assert with_short_lines(dict(type=kind, by_epoch=False)) == {
        'type': ShortLogProcessor,
        'by_epoch': False,
    }
    other = dict(type='Other')
    assert with_short_lines(other) is other
    built = LogProcessor()
    assert with_short_lines(built) is built


@pytest.mark.parametrize('hierarchy', [False, True])
def test_names_with_their_mode_in_front_give_the_same_line(tmp_path, hierarchy):
    (training,), validations, _ = lines(tmp_path, log_processor__log_with_hierarchy=hierarchy)
    assert ', sparse phase, kept: generator ' in training
    assert validations[-1].startswith('Iter(val) [36/36] digits/fid: ')
