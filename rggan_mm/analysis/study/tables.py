"""Tables of a study, for a terminal and as Markdown."""

import io
from collections.abc import Iterator, Sequence
from textwrap import fill

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .plan import Study
from .results import protocols

FORMATS = {'best_iter': '{:.0f}', 'seconds': '{:.0f}'}
LEFT_OUT = ('best_iter', 'dense', 'seconds')  # of the terminal
HEAD = 16  # characters of a title on one line
WIDE = 10_000  # Markdown and files are not wrapped
NEEDED = 'Seeds needed: to find such a difference in 80 % of all studies (paired t test, 5 %).'


def methods_as_tables(study: Study, methods: pd.DataFrame, width: int) -> Iterator[Table]:
    """One row a method, each value as ``mean [low, high]``.

    Args:
        study: The study.
        methods: From :func:`rggan_mm.analysis.study.results.method_table`.
        width: Of the terminal, in characters.

    Yields:
        One table, or several with some of the values each where one is too wide.
    """
    names = [name for name in _values(methods) if name not in LEFT_OUT]
    measure = Console(width=WIDE).measure
    while True:
        count = len(names)
        table = _table(study, methods, names)
        while count > 1 and measure(table).maximum > width:
            count -= 1
            table = _table(study, methods, names[:count])
        yield table
        names = names[count:]
        if not names:
            return


def _table(
    study: Study, methods: pd.DataFrame, names: Sequence[str], markdown: bool = False
) -> Table:
    look = {'box': box.MARKDOWN} if markdown else {'box': box.SIMPLE, 'padding': (0, 1, 0, 0)}
    table = Table(**look)
    columns = list(_columns(study, methods, names, markdown))
    for title, _ in columns:
        table.add_column(
            title if markdown else fill(title, HEAD, break_long_words=False), overflow='fold'
        )
    for _, row in methods.iterrows():
        table.add_row(*(Text(show(row)) for _, show in columns))
    return table


def title_of(study: Study, name: str) -> str:
    """What a column of a frame is called for a person."""
    titles = {
        'best': f'best {study.metric}',
        'report': f'{study.report} there',
        'last_five': f'{study.report or study.metric}, mean of the last five',
        'published': f'best {study.published}',
        'best_iter': 'iteration of the best',
        'dense': 'share of evaluations in a dense phase',
    }
    return titles.get(name, name.replace('keep_', 'keep ratio of '))


def _values(methods: pd.DataFrame) -> list[str]:
    return [n for n in methods if f'{n}_low' in methods and not n.endswith('_diff')]


def _columns(study: Study, methods: pd.DataFrame, names: Sequence[str], markdown: bool) -> Iterator:
    sep = ' ' if markdown else '\n'
    yield 'method', lambda row: row['method']
    yield 'n', lambda row: str(row['n'])
    for name in names:
        title = title_of(study, name)
        yield title, lambda row, name=name: _interval(row, name, sep)
        if f'{name}_diff' in methods:
            title = f'minus {study.baseline}'
            yield title, lambda row, name=name: _difference(row, name, sep)
            if markdown:
                yield 'seeds needed', lambda row, name=name: _needed(row, name)


def _interval(row: pd.Series, name: str, sep: str) -> str:
    if pd.isna(row[name]):
        return ''
    form = FORMATS.get(name, '{:.2f}')
    text, low, high = (form.format(row[n]) for n in (name, f'{name}_low', f'{name}_high'))
    return text if pd.isna(row[f'{name}_low']) else f'{text}{sep}[{low}, {high}]'


def _difference(row: pd.Series, name: str, sep: str) -> str:
    text = _interval(row, f'{name}_diff', sep)
    return text and f'{text},{sep}lower in {row[f"{name}_wins"]:.0f} of {row["pairs"]:.0f}'


def _needed(row: pd.Series, name: str) -> str:
    needed = row.get(f'{name}_needed')
    return '' if pd.isna(needed) else f'{needed:.0f}'


def unfinished(runs: pd.DataFrame) -> list[str]:
    """A line for each run without a result."""
    rows = runs[runs.state != 'done'].fillna({'error': ''})
    return [
        f'{row.method} seed {row.seed}: {row.state}' + (row.error and f', {row.error}')
        for row in rows.itertuples()
        if row.state != 'missing'
    ]


def notes(study: Study, runs: pd.DataFrame) -> list[str]:
    """What belongs beside the table: what is shown, the protocol, runs without a result."""
    protocol = '; or: '.join(protocols(runs))
    missing = int((runs.state == 'missing').sum())
    return [
        f'Lower is better. {protocol}.' if protocol else 'No run is done yet.',
        'Mean over the seeds [95 % t interval]; differences over the same seeds.',
        *([f'Not run yet: {missing} of {len(runs)} runs.'] if missing else []),
        *unfinished(runs),
    ]


def as_markdown(study: Study, runs: pd.DataFrame, methods: pd.DataFrame) -> str:
    """Title, table and notes."""
    text = io.StringIO()
    table = _table(study, methods, _values(methods), markdown=True)
    Console(file=text, width=WIDE).print(table)
    lines = [line.strip() for line in text.getvalue().splitlines() if line.strip()]
    first, *others = [*notes(study, runs), NEEDED]
    return '\n'.join(
        [f'# {study.name}', '', first, '', *lines, '', *(f'- {n}' for n in others), '']
    )
