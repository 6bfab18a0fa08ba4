"""The charts of a report, drawn by Bokeh; readable without colour."""

import math
from collections.abc import Mapping
from itertools import cycle

from bokeh.models import BoxAnnotation, ColorBar, FactorRange, HoverTool, LinearColorMapper
from bokeh.palettes import Cividis256
from bokeh.plotting import figure
from bokeh.transform import transform

from .curves import stretches
from .report_data import Run, Series

# Okabe and Ito's colours without yellow, which is too light for lines.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#000000', '#E69F00', '#56B4E9')
DASHES = ('solid', 'dashed', 'dotted', 'dotdash', 'dashdot')
MARKERS = ('circle', 'square', 'triangle', 'diamond', 'inverted_triangle', 'x')
_TOOLS = 'xpan,box_zoom,xwheel_zoom,reset,save'
_MOST_MARKERS = 100


def run_charts(run: Run) -> dict[str, list[figure]]:
    """Charts of one run by heading.

    Args:
        run: The run.

    Returns:
        Charts that share their x axis; headings without data are left out.
    """
    metric = run.summary.metric
    charts = {
        metric: [_lines({metric: run.metric}, metric)],
        'Keep ratio of each network': [_lines(_by_network(run, 'keep_ratio'), 'keep ratio')],
        'Keep ratio of each layer': _heat_maps(run),
        'Mean threshold': [_lines(_thresholds(run), 'threshold')],
        'Losses': [_lines(_losses(run), 'loss')],
    }
    charts = {title: [c for c in drawn if c] for title, drawn in charts.items()}
    first = charts[metric][0]
    for chart in (chart for drawn in charts.values() for chart in drawn):
        chart.x_range = first.x_range
        _hatch_dense(chart, run)
    return {title: drawn for title, drawn in charts.items() if drawn}


def comparison_chart(runs: list[Run]) -> figure:
    """The metric of several runs over one another."""
    return _lines({run.name: run.metric for run in runs}, runs[0].summary.metric)


def _lines(series: Mapping[str, Series], label: str) -> figure | None:
    """Lines that differ in dashes and markers too; None where there is nothing to draw."""
    if not any(series.values()):
        return None
    chart = _figure(label, height=300)
    styles = zip(cycle(COLOURS), cycle(DASHES), cycle(MARKERS), strict=False)
    for (name, values), (colour, dash, marker) in zip(series.items(), styles, strict=False):
        x, y = list(values), [v if math.isfinite(v) else math.nan for v in values.values()]
        every = math.ceil(len(x) / _MOST_MARKERS) or 1
        style = dict(color=colour, legend_label=name, name=name)
        chart.line(x, y, line_dash=dash, line_width=2, **style)
        chart.scatter(x[::every], y[::every], marker=marker, size=6, **style)
    chart.add_tools(HoverTool(tooltips=[('', '$name'), ('iteration', '@x'), (label, '@y{0.0000}')]))
    chart.legend.click_policy = 'hide'
    chart.legend.ncols = 4
    chart.add_layout(chart.legend[0], 'above')
    return chart


def _heat_maps(run: Run) -> list[figure]:
    recorded = [r.get('layers', {}) for r in run.records]
    networks = dict.fromkeys(name for one in recorded for name, layers in one.items() if layers)
    return [_heat_map(run, name) for name in networks]


def _heat_map(run: Run, network: str) -> figure:
    """Light is kept, dark is pruned: the palette rises in lightness."""
    cells = []
    start = 0
    for record in run.records:
        for layer, ratio in record.get('layers', {}).get(network, {}).items():
            cells.append((layer, (start + record['iter']) / 2, record['iter'] - start, ratio))
        start = record['iter']
    layer, middle, width, ratio = (list(column) for column in zip(*cells, strict=True))
    layers = list(dict.fromkeys(layer))
    chart = _figure('', height=150 + 18 * len(layers), y_range=FactorRange(*layers[::-1]))
    low = min(*ratio, 0.99)
    colours = LinearColorMapper(palette=Cividis256, low=low, high=1)
    data = {'x': middle, 'layer': layer, 'width': width, 'ratio': ratio}
    data['iteration'] = [m + w / 2 for m, w in zip(middle, width, strict=True)]
    chart.rect(
        'x',
        'layer',
        'width',
        1,
        source=data,
        line_color=None,
        fill_color=transform('ratio', colours),
    )
    tips = [('layer', '@layer'), ('evaluated at', '@iteration'), ('keep ratio', '@ratio{0.000}')]
    chart.add_tools(HoverTool(tooltips=tips))
    chart.title = network
    chart.add_layout(ColorBar(color_mapper=colours, title='kept', height=10), 'below')
    return chart


def _figure(label: str, **options: object) -> figure:
    chart = figure(tools=_TOOLS, sizing_mode='stretch_width', y_axis_label=label, **options)
    chart.min_border_left = 80  # so that charts stand under one another
    chart.xaxis.axis_label = 'iteration'
    chart.xaxis.formatter.use_scientific = False
    chart.toolbar.logo = None
    return chart


def _hatch_dense(chart: figure, run: Run) -> None:
    if not any(record['keep_ratio'] for record in run.records):
        return
    for start, end, sparse in stretches(run.records):
        if not sparse:
            style = dict(fill_alpha=0, hatch_pattern='/', hatch_alpha=0.25, hatch_color='black')
            chart.add_layout(BoxAnnotation(left=start, right=end, level='overlay', **style))


def _by_network(run: Run, key: str) -> dict[str, Series]:
    names = dict.fromkeys(name for record in run.records for name in record.get(key, {}))
    return {
        name: {r['iter']: r[key][name] for r in run.records if name in r.get(key, {})}
        for name in names
    }


def _thresholds(run: Run) -> dict[str, Series]:
    """As evaluated; runs before 0.2 have those of the log alone."""
    logged = {n.removesuffix('_threshold'): s for n, s in run.scalars.items() if '_threshold' in n}
    return _by_network(run, 'threshold') or logged


def _losses(run: Run) -> dict[str, Series]:
    return {name: series for name, series in run.scalars.items() if 'loss' in name}
