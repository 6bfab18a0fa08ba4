"""One run of a study."""

import sys

from rggan_mm.analysis.study.lock import HELD, locked
from rggan_mm.commands import study_run


def test_a_run_that_is_trained_already_ends_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, 'argv', ['study_run', str(tmp_path)])
    with locked(tmp_path):
        assert study_run.main() == HELD
    error = capsys.readouterr().err
    assert error.startswith(f'error: {tmp_path}: process ')
    assert error.count('\n') == 1
