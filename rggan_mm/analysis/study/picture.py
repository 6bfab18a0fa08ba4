"""Picture of a study: every seed a point, the interval beside them."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rggan_mm.files import written_whole

from .plan import Study
from .results import COMPARED, protocols
from .tables import title_of

# Blue and black: told apart by everybody, and by their shapes in print.
_POINTS = {'color': '#0072B2', 'marker': 'o', 'alpha': 0.6, 's': 18, 'linewidths': 0}
_INTERVAL = {'color': 'black', 'marker': 'D', 'markersize': 4, 'capsize': 4, 'linestyle': 'none'}
ROW = 0.45  # inches


def draw(study: Study, runs: pd.DataFrame, methods: pd.DataFrame, path: Path) -> None:
    """Draws the best values and the mean of the last five of each method that has a run.

    Args:
        study: The study.
        runs: From :func:`rggan_mm.analysis.study.results.run_table`, at least one done.
        methods: From :func:`rggan_mm.analysis.study.results.method_table`.
        path: PNG file, written whole or not at all.
    """
    methods = methods[methods.n > 0]
    shown = [name for name in COMPARED if name in runs]
    height = 1.6 + ROW * len(methods)
    figure = Figure(figsize=(4.5 * len(shown), height), layout='constrained')
    axes = figure.subplots(1, len(shown), sharey=True)
    for axis, name in zip(axes, shown, strict=True):
        _draw_value(axis, name, runs, methods)
        axis.set_xlabel(title_of(study, name), fontsize=9)
    counts = [f'{row.method} (n={row.n})' for row in methods.itertuples()]
    axes[0].set_yticks(range(len(methods)), counts)
    axes[0].set_ylim(len(methods) - 0.4, -0.4)
    figure.legend(*axes[0].get_legend_handles_labels(), loc='outside lower right', ncols=2)
    figure.suptitle('; or: '.join(protocols(runs)), fontsize=7, x=0.01, ha='left', wrap=True)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_value(axis: Axes, name: str, runs: pd.DataFrame, methods: pd.DataFrame) -> None:
    rows = {method: row for row, method in enumerate(methods.method)}
    done = runs[runs.state == 'done']
    axis.scatter(done[name], done.method.map(rows), label='one seed', **_POINTS)
    sides = (methods[name] - methods[f'{name}_low'], methods[f'{name}_high'] - methods[name])
    axis.errorbar(
        methods[name],
        [row + 0.25 for row in rows.values()],
        xerr=[side.fillna(0) for side in sides],
        label='mean, 95 % interval',
        **_INTERVAL,
    )
    axis.grid(axis='x', alpha=0.3)
