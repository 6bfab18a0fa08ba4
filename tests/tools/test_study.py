"""tools/study.py with tiny runs."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from tiny_study import SMALL, write_study
from tool_modules import TOOLS, load_tool

from rggan_mm.analysis.study import read_study
from rggan_mm.analysis.study.lock import locked
from rggan_mm.analysis.study.plan import LOG

tool = load_tool('study')


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Exit status and errors of a command line."""

    def run(path, *arguments):
        command = ['study.py', path, '--work-dir', tmp_path / 'w', *arguments]
        monkeypatch.setattr(sys, 'argv', list(map(str, command)))
        return tool.main(), capsys.readouterr().err

    return run


def runs_of(tmp_path):
    return pd.read_csv(tmp_path / 'w' / 'tiny' / 'runs.csv').set_index(['method', 'seed'])


def start(path, tmp_path):
    command = [sys.executable, TOOLS / 'study.py', path, '--work-dir', tmp_path / 'w']
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        # Tests that a shell started in the background ignore it, and so would the study.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_results_of_nothing(run, tmp_path):
    assert run(write_study(tmp_path), '--results-only') == (0, '')
    assert set(runs_of(tmp_path).state) == {'missing'}


def test_a_run_of_another_config_is_refused(run, tmp_path):
    path = write_study(tmp_path)
    folder = read_study(path, tmp_path / 'w').runs[0].folder
    folder.mkdir(parents=True)
    (folder / 'study_run.json').write_text('{"config": "other", "state": "done"}')
    status, error = run(path)
    assert status == 1
    assert str(folder) in error
    assert json.loads((folder / 'study_run.json').read_text())['config'] == 'other'


def test_a_run_that_another_process_trains_is_refused(run, tmp_path):
    path = write_study(tmp_path)
    one = read_study(path, tmp_path / 'w').runs[0]
    one.prepare()
    with locked(one.folder):
        status, error = run(path)
    assert status == 1
    assert f'{one.folder}: process {os.getpid()} on ' in error
    assert one.record()['state'] == 'waiting'


@pytest.mark.slow
def test_what_is_missing_is_run_and_a_failure_is_a_row(run, tmp_path):
    fields = {'dense': {}, 'bad': {'model.noise_size': -1}}
    config = str(TOOLS.parent / 'configs' / 'sngan_digits_35.py')
    methods = {n: {'config': config, 'changes': {**SMALL, **c}} for n, c in fields.items()}
    path = write_study(tmp_path, methods=methods, seeds=[0])
    assert run(path, '--jobs', 2)[0] == 0
    runs = runs_of(tmp_path)
    assert runs.loc[('dense', 0)].state == 'done'
    assert runs.loc[('dense', 0)].best > 0
    assert runs.loc[('bad', 0)].state == 'failed'
    assert 'model.generator' in runs.loc[('bad', 0)].error
    seconds = runs.loc[('dense', 0)].seconds
    assert run(path, '--methods', 'dense')[0] == 0
    assert runs_of(tmp_path).loc[('dense', 0)].seconds == seconds


@pytest.mark.slow
def test_a_stopped_study_goes_on(run, tmp_path):
    long = {**SMALL, 'train_cfg.max_iters': 600, 'train_cfg.val_interval': 200}
    config = str(TOOLS.parent / 'configs' / 'sngan_digits_35.py')
    path = write_study(tmp_path, methods={'dense': {'config': config, 'changes': long}}, seeds=[0])
    log = tmp_path / 'w' / 'tiny' / 'dense' / 'seed_0' / LOG
    process = start(path, tmp_path)
    while not (log.exists() and 'Iter(train)' in log.read_text()):
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert runs_of(tmp_path).loc[('dense', 0)].state == 'stopped'
    assert run(path)[0] == 0
    assert runs_of(tmp_path).loc[('dense', 0)].state == 'done'
    assert 'resumed' in log.read_text()


@pytest.mark.slow
def test_runs_are_submitted(run, tmp_path):
    pytest.importorskip('submitit', reason='the extra `study` is not installed')
    path = write_study(tmp_path, seeds=[0])
    options = ['--submit', 'local', '--submit-options', 'timeout_min=10']
    assert run(path, '--methods', 'dense', *options)[0] == 0
    (job,) = read_study(path, tmp_path / 'w').chosen(['dense'], None)
    until = time.monotonic() + 500
    while job.state() != 'done' and time.monotonic() < until:
        assert job.record()['state'] in ('waiting', 'running', 'done')
        time.sleep(0.5)
    assert job.state() == 'done'
    assert run(path, '--results-only')[0] == 0
    assert runs_of(tmp_path).loc[('dense', 0)].best > 0
