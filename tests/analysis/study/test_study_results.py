"""Numbers of a study from recorded runs, against numbers by hand."""

import io
import json
import math

import pandas as pd
import pytest
from rich.console import Console
from tiny_study import write_study

from rggan_mm.analysis.study import read_study
from rggan_mm.analysis.study.plan import LOG, RECORD, write_record
from rggan_mm.analysis.study.results import method_table, run_table, seeds_needed
from rggan_mm.analysis.study.tables import WIDE, as_markdown, methods_as_tables
from rggan_mm.analysis.study.writing import write_results

# FID of two evaluations by method and seed.
RECORDED = {('dense', 0): (10.0, 12.0), ('dense', 1): (16.0, 14.0), ('rg', 0): (8.0, 9.0)}


def evaluation(iteration, fid, keep):
    return {
        'iter': iteration,
        'sparse': iteration == 2,
        'keep_ratio': keep,
        'metrics': {'digits/fid': fid, 'digits/n_real': 360.0, 'half/fid': fid + iteration},
    }


@pytest.fixture
def study(tmp_path):
    """Three runs are done, one failed."""
    study = read_study(write_study(tmp_path, report='half/fid'), tmp_path / 'w')
    for run in study.runs:
        run.folder.mkdir(parents=True)
        values = RECORDED.get((run.method, run.seed), ())
        keep = {'generator': 0.5, 'generator_ema': 0.6} if run.method == 'rg' else {}
        records = [evaluation(2 * i, value, keep) for i, value in enumerate(values, 1)]
        (run.folder / 'evaluations.json').write_text(json.dumps(records))
        state = 'done' if values else 'failed'
        write_record(run.folder, config=run.hash, state=state, seconds=3.0, error='broken')
    return study


def test_a_run_gives_best_reported_and_last_five(study):
    row = run_table(study).set_index(['method', 'seed']).loc[('dense', 1)]
    assert (row.best, row.best_iter, row.seconds) == (14.0, 4, 3.0)
    assert row.report == 18.0
    assert row.last_five == (18.0 + 18.0) / 2
    assert 'n_real 360' in row.protocol


def test_mean_interval_and_paired_difference(study):
    runs = run_table(study)
    table = method_table(study, runs).set_index('method')
    dense, pruned = table.loc['dense'], table.loc['rg']
    # 12.706 is the 97.5 % quantile of t with one degree of freedom; 10 and 14 have sem 2.
    assert (dense.n, dense.best) == (2, 12.0)
    assert dense.best_low == pytest.approx(12 - 12.706 * 2, abs=1e-2)
    assert dense.best_high == pytest.approx(12 + 12.706 * 2, abs=1e-2)
    assert (pruned.n, pruned.pairs, pruned.best_diff, pruned.best_wins) == (1, 1, -2.0, 1)
    assert (pruned.keep_generator, pruned.dense) == (0.5, 0.5)
    assert 'keep_generator_ema' not in runs
    assert pd.isna(pruned.best_low)
    assert pd.isna(dense.keep_generator)
    assert pd.isna(dense.dense)


@pytest.mark.parametrize(('effect', 'pairs'), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed_are_those_of_the_tables_of_the_t_test(effect, pairs):
    differences = pd.Series([-1.0, 1.0, -1.0, 1.0])
    assert seeds_needed(differences / differences.std() + effect) == pairs
    assert seeds_needed(-differences / differences.std() - effect) == pairs


@pytest.mark.parametrize('differences', [[0.5], [0.5, 0.5], [-1.0, 1.0]])
def test_no_number_of_seeds_shows_it(differences):
    assert pd.isna(seeds_needed(pd.Series(differences)))


def test_a_failed_run_is_a_row_with_its_error(study):
    runs = run_table(study)
    failed = runs[runs.state == 'failed'].iloc[0]
    assert (failed.method, failed.seed, failed.error) == ('rg', 1, 'broken')
    assert 'broken' in as_markdown(study, runs, method_table(study, runs))


def test_a_failed_run_that_noted_no_error_shows_its_last_line(study):
    failed = study.runs[3]
    (failed.folder / RECORD).unlink()
    write_record(failed.folder, config=failed.hash, state='failed')
    assert run_table(study).error[3] == ''
    (failed.folder / LOG).write_text('first\nkilled\n\n')
    assert run_table(study).error[3] == 'killed'


@pytest.mark.parametrize('fids', [(math.nan, math.nan), (10.0, math.nan), (math.inf, 10.0)])
def test_a_run_whose_values_are_no_numbers_has_failed(study, fids):
    records = [evaluation(2 * i, value, {}) for i, value in enumerate(fids, 1)]
    (study.runs[0].folder / 'evaluations.json').write_text(json.dumps(records))
    runs = run_table(study)
    assert runs.state[0] == 'failed'
    assert 'is nan' in runs.error[0] or 'is inf' in runs.error[0]
    dense = method_table(study, runs).iloc[0]
    assert (dense.n, dense.best) == (1, 14.0)


@pytest.mark.parametrize(('width', 'count'), [(WIDE, 1), (50, 4)])
def test_no_number_is_cut_in_a_terminal(study, width, count):
    tables = list(methods_as_tables(study, method_table(study, run_table(study)), width))
    text = io.StringIO()
    for table in tables:
        Console(file=text, width=width).print(table)
    assert len(tables) == count
    assert '…' not in text.getvalue()
    for number in ('12.00', '[-13.41, 37.41]', '-2.00', '0.50', 'lower in 1 of 1'):
        assert number in text.getvalue()


def test_files_hold_the_table(study):
    runs = run_table(study)
    methods = method_table(study, runs)
    write_results(study, runs, methods, ['study.py'])
    assert pd.read_csv(study.folder / 'results.csv').best[0] == methods.best[0]
    assert len(pd.read_csv(study.folder / 'runs.csv')) == 4
    text = (study.folder / 'results.md').read_text()
    assert '| dense ' in text
    assert '12.00 [-13.41, 37.41]' in text
    assert (study.folder / 'results.png').stat().st_size > 1000
    assert json.loads((study.folder / 'environment.json').read_text())['command'] == 'study.py'


def test_nothing_is_done_yet(tmp_path):
    study = read_study(write_study(tmp_path), tmp_path / 'w')
    runs = run_table(study)
    methods = method_table(study, runs)
    assert list(methods.n) == [0, 0]
    write_results(study, runs, methods, ['study.py'])
    assert not (study.folder / 'results.png').exists()
