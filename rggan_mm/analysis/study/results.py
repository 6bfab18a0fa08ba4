"""Numbers of a study: one row a run, one row a method."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from rggan_mm.analysis.curves import protocol_of
from rggan_mm.analysis.summary import summarize
from rggan_mm.errors import ConfigError

from .plan import Run, Study, last_line

CONFIDENCE = 0.95
POWER = 0.8
MANY = 1000  # seeds
# What is averaged over the seeds; keep ratios are added by network.
COMPARED = ('best', 'report', 'last_five', 'published')
VALUES = (*COMPARED, 'best_iter', 'dense', 'seconds')


def run_table(study: Study) -> pd.DataFrame:
    """One row a run: method, seed, state, values, protocol, error.

    Args:
        study: The study.

    Returns:
        The frame. Only rows whose state is 'done' have values.
    """
    return pd.DataFrame([_row(study, run) for run in study.runs])


def _row(study: Study, run: Run) -> dict:
    row = {'method': run.method, 'seed': run.seed, 'state': _state(run), 'error': None}
    if row['state'] == 'failed':
        row['error'] = run.record().get('error') or last_line(run.folder)
    if row['state'] != 'done':
        return row
    try:
        return {**row, **_values(study, run), 'seconds': run.record()['seconds']}
    except ConfigError as error:
        return {**row, 'state': 'failed', 'error': str(error)}


def _state(run: Run) -> str:
    state = run.state()
    return run.record()['state'] if state == 'started' else state


def _values(study: Study, run: Run) -> dict:
    """The values of a run; with a report metric the last five are its values."""
    summary = summarize(run.folder, study.metric)
    best, best_iter = summary.best
    values = {'best': best, 'best_iter': best_iter}
    values['last_five'] = summarize(run.folder, study.report or study.metric).last_five
    metrics = run.metrics_at(best_iter)
    if study.report:
        values['report'] = metrics[study.report]
    if study.published:
        values['published'] = summarize(run.folder, study.published).best[0]
    for name, value in values.items():
        if not math.isfinite(value):
            raise ConfigError(f'{name} is {value}: not every value of the run is a number')
    keep = summary.sparse_keep_ratio
    if keep:
        values['dense'] = summary.dense
    # An average has the masks of its network, a little behind.
    trained = [name for name in keep if not name.endswith('_ema')]
    names = filter(None, (study.metric, study.report, study.published))
    return {
        **values,
        **{f'keep_{name}': keep[name] for name in trained},
        'protocol': '; '.join(f'{name}: {protocol_of(metrics, name)}' for name in names),
    }


def method_table(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """One row a method, over its runs that are done.

    Args:
        study: The study.
        runs: From :func:`run_table`.

    Returns:
        The frame: n, then of each value V its mean ``V`` and the ends of its 95 % t interval
        ``V_low`` and ``V_high``; of the best value and the mean of the last five also the
        paired difference to the baseline over the same seeds, ``V_diff`` with ``V_diff_low``
        and ``V_diff_high``, over ``pairs`` seeds, ``V_wins``, how many of them were lower, and
        ``V_needed``, what :func:`seeds_needed` says of it.
    """
    done = runs[runs.state == 'done']
    baseline = done[done.method == study.baseline].set_index('seed')
    rows = []
    for method in study.methods:
        own = done[done.method == method].set_index('seed')
        row = {'method': method, 'n': len(own)}
        for name in values_of(runs):
            row.update(_interval(name, own[name]))
        if method != study.baseline:
            row.update(_compared(own, baseline))
        rows.append(row)
    return pd.DataFrame(rows)


def values_of(runs: pd.DataFrame) -> list[str]:
    """Columns of a frame of runs that hold values; none before a run is done."""
    keep = [name for name in runs if name.startswith('keep_')]
    return [name for name in (*VALUES, *keep) if name in runs]


def _interval(name: str, values: pd.Series) -> dict[str, float]:
    """Mean and t interval; NaN where nothing is known."""
    values = values.dropna()
    mean, half = values.mean(), float('nan')
    if len(values) > 1:
        half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return {name: mean, f'{name}_low': mean - half, f'{name}_high': mean + half}


def _compared(own: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, float]:
    row = {'pairs': len(own.index.intersection(baseline.index))}
    for name in [name for name in COMPARED if name in own] if row['pairs'] else ():
        differences = (own[name] - baseline[name]).dropna()
        row.update(_interval(f'{name}_diff', differences))
        row[f'{name}_wins'] = int((differences < 0).sum())
        row[f'{name}_needed'] = seeds_needed(differences)
    return row


def seeds_needed(differences: pd.Series) -> float:
    """How many seeds would show a difference of this size, if it is the true one.

    Args:
        differences: Paired differences.

    Returns:
        The smallest number of pairs with which a paired two-sided t test at 5 % finds it in 80 %
        of all studies; NaN where more than 1,000 are needed, and of pairs that do not differ.
    """
    if not differences.std() > 0:
        return float('nan')
    effect = abs(differences.mean()) / differences.std()
    sizes = np.arange(2, MANY + 1)
    critical = stats.t.ppf((1 + CONFIDENCE) / 2, sizes - 1)
    shift = effect * np.sqrt(sizes)
    power = stats.nct.sf(critical, sizes - 1, shift) + stats.nct.cdf(-critical, sizes - 1, shift)
    enough = sizes[power >= POWER]
    return float(enough[0]) if len(enough) else float('nan')


def protocols(runs: pd.DataFrame) -> list[str]:
    """How the numbers were measured; more than one means that they do not compare."""
    return list(runs['protocol'].dropna().unique()) if 'protocol' in runs else []
