"""The command that measures on a GPU, as far as a CPU can tell."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import ROOT

from dev import gpu_check
from dev.checks.figures import environment, read_tests
from dev.checks.jobs import FAILED, LEFT_OUT, OK, TIMED_OUT, Job, run_together
from dev.checks.parts import BENCH_SECONDS, LIMITS, PARTS, Jobs
from dev.checks.tables import tables_of
from dev.gpu_check import RESULT


def python(folder, name, code, limit=60.0, read=dict):
    """A job that runs a line of Python."""
    return Job(name, [sys.executable, '-c', code], limit, folder / f'{name}.log', read)


def outcome_of(job, folder):
    return run_together([job], folder, os.environ)[job.name]


def is_running(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().split()[2] != 'Z'
    except FileNotFoundError:
        return False


def test_jobs_side_by_side_have_outcomes_of_their_own(tmp_path):
    jobs = [
        python(tmp_path, 'good', 'pass', read=lambda: {'figure': 1}),
        python(tmp_path, 'bad', 'print("first"); raise SystemExit("the reason")'),
        python(tmp_path, 'slow', 'print("begun", flush=True); import time; time.sleep(60)', 1.0),
        python(tmp_path, 'mute', 'pass', read=lambda: {}['missing']),
    ]
    start = time.monotonic()
    found = run_together(jobs, tmp_path, os.environ)
    assert time.monotonic() - start < 30
    assert (found['good'].state, found['good'].figures, found['good'].error) == (
        OK,
        {'figure': 1},
        None,
    )
    assert (found['bad'].state, found['bad'].error) == (FAILED, 'the reason')
    assert found['slow'].state == TIMED_OUT
    assert found['slow'].error.startswith('killed after 1 s')
    assert (found['mute'].state, found['mute'].figures) == (FAILED, {})


def test_what_failed_keeps_the_figures_that_it_wrote(tmp_path):
    job = python(tmp_path, 'half', 'raise SystemExit(3)', read=lambda: {'figure': 1})
    found = outcome_of(job, tmp_path)
    assert (found.state, found.figures) == (FAILED, {'figure': 1})


@pytest.mark.parametrize(('rest', 'state'), [('time.sleep(60)', TIMED_OUT), ('', OK)])
def test_nothing_that_a_job_started_survives_it(tmp_path, rest, state):
    child = 'p = subprocess.Popen(["sleep", "60"]); print(p.pid, flush=True)'
    job = python(tmp_path, 'parent', f'import subprocess, time; {child}; {rest}', 2.0)
    assert outcome_of(job, tmp_path).state == state
    pid = int(job.log.read_text().splitlines()[0])
    end = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(pid)


@pytest.mark.parametrize('quick', [False, True])
def test_every_part_has_a_limit_and_a_command_that_exists(tmp_path, quick):
    jobs = Jobs(tmp_path, quick)
    made = [*jobs.bench(), *jobs.rest(set(PARTS))]
    assert [job.name for job in made][-4:] == list(PARTS[1:])
    for job in made:
        assert job.limit == LIMITS[job.name]
        scripts = [word for word in job.command if word.endswith('.py')]
        assert scripts
        assert all((ROOT / script).is_file() for script in scripts)


def test_the_rest_fits_beside_the_benchmarks_into_eight_minutes():
    assert BENCH_SECONDS + max(LIMITS[part] for part in PARTS[1:]) <= 480


def test_fast_runs_stand_beside_those_as_they_are(tmp_path):
    jobs = Jobs(tmp_path).bench()
    fast = [job.name for job in jobs if '--fast' in job.command]
    assert fast == ['bench_sngan_fast', 'bench_sngan_bf16_fast']
    assert [job.name for job in jobs if 'naive' in job.command] == ['bench_sngan']


def test_a_reading_of_pytest(tmp_path):
    cases = {
        'passes': 'pass',
        'fails': 'assert False',
        'skips': 'import pytest; pytest.skip()',
    }
    code = ''.join(f'def test_{name}():\n    {body}\n' for name, body in cases.items())
    (tmp_path / 'test_some.py').write_text(code)
    file = tmp_path / 'tests.xml'
    subprocess.run(
        [sys.executable, '-m', 'pytest', '-c', os.devnull, f'--junit-xml={file}', 'test_some.py'],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert read_tests(file) == {'passed': 1, 'skipped': 1, 'failed': ['test_some::test_fails']}


def check(folder, *arguments):
    """Runs the command on the CPU, everything tiny."""
    command = [sys.executable, str(ROOT / 'dev' / 'gpu_check.py'), '--device', 'cpu', '--quick']
    result = subprocess.run(
        [*command, '--out', str(folder), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return result, json.loads((folder / RESULT).read_text())


@pytest.mark.slow
def test_the_whole_command(tmp_path):
    result, found = check(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    parts = found['parts']
    assert {name.partition('_')[0] for name in parts} == set(PARTS)
    assert {part['state'] for part in parts.values()} == {OK}
    assert list(parts['bench_sngan']['figures']['runs']) == ['dense', 'published']
    errors = parts['replay']['figures']['errors']
    assert len(errors) >= 2
    assert all(one['error'] <= 1e-6 for one in errors.values())
    assert found['environment']['gpu'] is None
    assert parts['tests']['figures']['skipped'] > 0
    assert parts['tests']['figures']['failed'] == []
    digits = parts['digits']['figures']
    assert digits['iterations'] == 5
    assert [Path(path).is_file() for path in digits['samples']] == [True]
    assert parts['evaluation']['figures']['values']['digits/fid'] > 0
    assert sum(1 for table in tables_of(found)) == 2


def test_a_gpu_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr(sys, 'argv', ['gpu_check.py', '--device', 'cuda', '--out', str(tmp_path)])
    assert gpu_check.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('error: --device cuda: PyTorch sees no GPU')
    assert list(tmp_path.iterdir()) == []


def test_one_part_that_fails_leaves_the_others_their_figures(tmp_path, monkeypatch, capsys):
    good = python(tmp_path, 'good', 'pass', read=lambda: {'images': 10, 'seconds': 1.0})
    bad = python(tmp_path, 'bad', 'raise SystemExit("the reason")')
    monkeypatch.setattr(gpu_check.Jobs, 'bench', lambda jobs: [bad])
    monkeypatch.setattr(gpu_check.Jobs, 'rest', lambda jobs, parts: [good])
    monkeypatch.setattr(sys, 'argv', ['gpu_check.py', '--out', str(tmp_path)])
    assert gpu_check.main() == 1
    parts = json.loads((tmp_path / RESULT).read_text())['parts']
    assert {name: part['state'] for name, part in parts.items()} == {'bad': FAILED, 'good': OK}
    assert parts['good']['figures'] == {'images': 10, 'seconds': 1.0}
    printed = capsys.readouterr().out
    assert 'the reason' in printed
    assert '10 images in 1.00 s' in printed


def test_a_benchmark_without_time_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, 'BENCH_SECONDS', 0)
    monkeypatch.setattr(sys, 'argv', ['gpu_check.py', '--out', str(tmp_path)])
    doing = gpu_check.Check(gpu_check.parse_args())
    doing.bench([python(tmp_path, 'late', 'pass')])
    assert doing.found['parts']['late']['state'] == LEFT_OUT


def test_a_part_that_failed_has_its_line():
    parts = {'replay': {'state': FAILED, 'seconds': 1.0, 'figures': {}, 'error': 'the reason'}}
    found = {'environment': environment(), 'seconds': 1.0, 'parts': parts}
    (table,) = tables_of(found)
    cells = [list(column.cells) for column in table.columns]
    assert cells == [['replay'], [FAILED], ['1'], ['the reason']]
