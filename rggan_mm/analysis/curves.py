"""Draws the curve of a run."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rggan_mm.files import written_whole

PROTOCOL = ('n_real', 'n_fake', 'reference', 'extractor', 'resize', 'note')


def plot_curves(records: Sequence[dict], metric: str, path: Path) -> None:
    """Draws a metric over iterations, and the keep ratios below it.

    Sparse and dense stretches are shaded; a run without sparse networks gets the
    first panel only.

    Args:
        records: Evaluations in order, each with ``iter``, ``sparse``, ``keep_ratio``
            (in [0, 1], by network), ``metrics`` and, since 0.2, ``evaluated``.
        metric: Full name of the metric to draw.
        path: PNG file, written whole or not at all.
    """
    with_keep = bool(records[0]['keep_ratio'])
    figure = Figure(figsize=(8, 6 if with_keep else 3.6), layout='constrained')
    axes = figure.subplots(2 if with_keep else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_metric(axes[0], records, metric)
    if with_keep:
        _draw_keep_ratios(axes[1], records, metric)
        for axis in axes:
            _shade(axis, records)
        figure.legend(*_stretch_legend(axes[0]), loc='outside upper right', ncols=2)
    axes[-1].set_xlabel('iteration')
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=120)


def protocol_of(metrics: dict, metric: str) -> str:
    """How a metric was measured, in words: n_real, n_fake, reference, extractor, resize, note."""
    prefix = metric.rpartition('/')[0]
    known = {name: metrics.get(f'{prefix}/{name}') for name in PROTOCOL}
    texts = {n: f'{v:g}' if isinstance(v, float) else v for n, v in known.items()}
    return ', '.join(f'{name} {text}' for name, text in texts.items() if text is not None)


def evaluated_by(record: dict, metric: str) -> str | None:
    """The network that a metric judged; None where nobody noted it, as before 0.2."""
    return record.get('evaluated', {}).get(metric.rpartition('/')[0])


def _draw_metric(axis: Axes, records: Sequence[dict], metric: str) -> None:
    points = [(r['iter'], r['metrics'].get(metric, math.nan)) for r in records]
    finite = [(i, value) for i, value in points if math.isfinite(value)]
    axis.plot(*zip(*finite, strict=True), 'o-', color='black', markersize=3)
    if finite:
        best = min(finite, key=lambda point: point[1])
        side = 'right' if best[0] > 0.8 * points[-1][0] else 'left'
        # Below the point, but not below the axis.
        low = best[1] < 0.15 * max(value for _, value in finite)
        text = f'best {best[1]:.1f} at {best[0]}'
        axis.annotate(text, best, (0, 10 if low else -14), ha=side, **_LABEL)
    axis.set_ylabel(metric)
    axis.set_ylim(bottom=0)
    axis.set_title(protocol_of(records[-1]['metrics'], metric), fontsize=8, loc='left', wrap=True)


_LABEL = {'textcoords': 'offset points', 'fontsize': 8}


def _draw_keep_ratios(axis: Axes, records: Sequence[dict], metric: str) -> None:
    iterations = [record['iter'] for record in records]
    evaluated = evaluated_by(records[-1], metric)
    for name in dict.fromkeys(name for record in records for name in record['keep_ratio']):
        ratios = [record['keep_ratio'].get(name, math.nan) for record in records]
        label = f'{name} (evaluated)' if name == evaluated else name
        axis.plot(iterations, ratios, 'o-', markersize=3, label=label)
    axis.set_ylabel('keep ratio')
    axis.set_ylim(0, 1.05)
    axis.legend(loc='lower left', fontsize=8)


def _shade(axis: Axes, records: Sequence[dict]) -> None:
    for start, end, sparse in stretches(records):
        label = 'sparse stretch' if sparse else 'dense stretch'
        axis.axvspan(start, end, color='tab:green' if sparse else 'tab:orange', alpha=0.15, lw=0)
        axis.patches[-1].set_label(label)


def _stretch_legend(axis: Axes) -> tuple[list, list]:
    by_label = {patch.get_label(): patch for patch in axis.patches}
    return list(by_label.values()), list(by_label)


def stretches(records: Sequence[dict]) -> Iterator[tuple[int, int, bool]]:
    """Yields start, end and phase of each stretch between evaluations, joined."""
    start = 0
    for record, following in zip(records, [*records[1:], None], strict=True):
        if following is None or following['sparse'] != record['sparse']:
            yield start, record['iter'], record['sparse']
            start = record['iter']
