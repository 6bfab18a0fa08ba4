"""What a report reads from work dirs."""

import json
from datetime import timedelta

import pytest
from recorded_runs import METRIC, write_about, write_run

from rggan_mm.analysis.report_data import base_differences, read_run, setting_differences
from rggan_mm.errors import ConfigError


def test_everything_that_a_run_leaves(tmp_path):
    run = read_run(write_run(tmp_path / 'mine'))
    assert run.name == 'mine'
    assert run.metric == {100: 50.0, 200: 40.0, 300: 45.0}
    assert run.scalars['loss_gen'] == {50: 1 / 50, 100: 1 / 100, 150: 1 / 150}
    assert list(run.samples) == [100, 200, 300]
    assert run.warnings == {'<b>twice</b>': 2}
    assert run.duration == timedelta(seconds=90)
    assert run.resets() == {'generator.blocks.0.conv': 2}
    assert run.cost()['seconds an iteration (median)'] == '0.250'
    assert run.nearest == []


def test_a_later_start_is_right_where_two_know_an_iteration(tmp_path):
    folder = write_run(tmp_path / 'run')
    later = folder / '20261129_000000' / 'vis_data'
    later.mkdir(parents=True)
    rows = [{'iter': 100, 'loss_gen': 7.0}, {'iter': 200, 'loss_gen': 8.0, 'memory': 1234}]
    (later / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    run = read_run(folder)
    assert run.scalars['loss_gen'] == {50: 1 / 50, 100: 7.0, 150: 1 / 150, 200: 8.0}
    assert run.cost()['GPU memory, most'] == '1,234 MB'


def test_what_another_run_left_in_the_folder_is_not_shown(tmp_path):
    folder = write_run(tmp_path / 'run')
    before = folder / '20261127_000000'
    (before / 'vis_data').mkdir(parents=True)
    (before / 'vis_data' / 'scalars.json').write_text('{"iter": 900, "loss_gen": 7.0}')
    (before / 'run.log').write_text('2026/11/27 00:00:00 - mmengine - WARNING - old')
    (folder / 'samples' / 'iter_000900.png').touch()
    run = read_run(folder)
    assert 900 not in run.scalars['loss_gen']
    assert 'old' not in run.warnings
    assert 900 not in run.samples


def test_records_of_older_versions_are_read(tmp_path):
    folder = write_run(tmp_path / 'run')
    records = json.loads((folder / 'evaluations.json').read_text())
    for record in records:
        for new in ('layers', 'threshold', 'resets'):
            del record[new]
    (folder / 'evaluations.json').write_text(json.dumps(records))
    (folder / 'run.json').unlink()
    run = read_run(folder, METRIC)
    assert run.resets() == {}
    assert base_differences(run) == []


def test_settings_that_differ(tmp_path):
    folders = [write_run(tmp_path / name) for name in 'ab']
    write_about(folders[1], {'seed': 1, 'lam': 1e-9, 'extra': [1, 2]})
    runs = [read_run(folder) for folder in folders]
    assert setting_differences(runs) == [['seed', '0', '1'], ['extra', '-', '[1, 2]']]
    assert base_differences(runs[1]) == [['seed', '7', '1'], ['lam', '-', '1e-09']]


def test_a_damaged_record_is_one_error(tmp_path):
    folder = write_run(tmp_path / 'run')
    (folder / 'run.json').write_text('{')
    with pytest.raises(ConfigError, match=r'run\.json is damaged'):
        read_run(folder)
