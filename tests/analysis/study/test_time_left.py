"""The time that runs still take, from recorded evaluations."""

import json

import pytest
from tiny_study import write_study

from rggan_mm.analysis.study import read_study, time_left
from rggan_mm.analysis.study.time_left import TimeLeft, in_words


def evaluated(run, iteration):
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / 'evaluations.json').write_text(json.dumps([{'iter': iteration}]))


@pytest.fixture
def runs(tmp_path):
    """Four runs of four iterations each."""
    return read_study(write_study(tmp_path), tmp_path / 'w').runs


@pytest.fixture
def clock(monkeypatch):
    """Seconds, set by the test."""
    now = [0.0]
    monkeypatch.setattr(time_left.time, 'monotonic', lambda: now[0])
    return now


def test_iterations_so_far_tell_the_time_left(runs, clock):
    left = TimeLeft(runs)
    assert left.line(runs[:1], []) == '0 of 4'
    evaluated(runs[0], 4)
    evaluated(runs[1], 2)
    clock[0] = 1200.0
    assert left.seconds([runs[1]], [runs[0]]) == pytest.approx(1200 * 10 / 6)
    assert left.line([runs[1]], [runs[0]]) == '1 of 4, some 33 minutes left'
    assert left.line([], runs) == '4 of 4'


def test_what_was_there_before_took_no_time(runs, clock):
    runs[0].prepare()
    evaluated(runs[0], 2)
    evaluated(runs[1], 4)  # of another config: it is made anew
    left = TimeLeft(runs)
    evaluated(runs[0], 4)
    clock[0] = 100.0
    assert left.seconds([], [runs[0]]) == 100 * 12 / 2


def test_a_run_that_failed_at_once_is_no_sign_of_speed(runs, clock):
    left = TimeLeft(runs)
    clock[0] = 100.0
    assert left.line([], runs[:1]) == '1 of 4'


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [(30, 'a minute or two'), (2400, 'some 40 minutes'), (3 * 3600, 'some 3 hours')],
)
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words
