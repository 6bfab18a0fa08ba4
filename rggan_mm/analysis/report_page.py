"""The report as one HTML file that needs nothing else."""

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path

from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from rggan_mm.errors import ConfigError
from rggan_mm.files import written_whole

from .report_charts import comparison_chart, run_charts
from .report_data import Run, base_differences, read_run, setting_differences

PICTURES = 5_000_000  # bytes in the page, of all runs together
WIDEST = 768  # pixels of a picture
_COLUMNS = ('run', 'best', 'last', 'keep ratios when last sparse', 'switches', 'duration')


def write_report(work_dirs: Sequence[Path], path: Path, metric: str | None = None) -> None:
    """Writes a report of one run, or of several beside each other.

    Args:
        work_dirs: Work dirs of the runs.
        path: The HTML file, written whole or not at all.
        metric: Full name of the metric to follow; None takes the first that ends in 'fid'.

    Raises:
        ConfigError: A folder without evaluations, no such metric, or a damaged file.
    """
    runs = _read(work_dirs, metric)
    charts = [run_charts(run) for run in runs]
    flat = [chart for one in charts for drawn in one.values() for chart in drawn]
    compared = [comparison_chart(runs)] if len(runs) > 1 else []
    script, divs = components([*compared, *flat])
    places = iter(divs)
    comparison = _comparison(runs, next(places)) if compared else None
    shown = [
        {title: [next(places) for _ in drawn] for title, drawn in one.items()} for one in charts
    ]
    environment = Environment(
        loader=PackageLoader('rggan_mm.analysis'), autoescape=True, undefined=StrictUndefined
    )
    text = environment.get_template('report.html').render(
        title=', '.join(run.name for run in runs),
        bokeh=Resources(mode='inline', components=['bokeh']).render_js(),
        script=script,
        comparison=comparison,
        runs=[_of_run(run, charts) for run, charts in zip(runs, shown, strict=True)],
        samples=[_samples(run, PICTURES // len(runs)) for run in runs],
    )
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def _read(work_dirs: Sequence[Path], metric: str | None) -> list[Run]:
    names = [path.resolve().name for path in work_dirs]
    if len(set(names)) < len(names):  # folders of one name in several places
        names = [str(path) for path in work_dirs]
    if len(set(names)) < len(names):
        raise ConfigError(f'work dirs {", ".join(names)}: one is named twice')
    return [read_run(path, metric, name) for path, name in zip(work_dirs, names, strict=True)]


def _of_run(run: Run, charts: dict[str, list[str]]) -> dict:
    about = run.about
    facts = {
        'config': about.get('config', 'not recorded (a run made before 0.2)'),
        'started': about.get('started', '-').replace('_', ' '),
        **dict(row for row in run.summary.rows() if row[0] not in run.summary.files),
        **run.cost(),
    }
    return {
        'name': run.name,
        'facts': facts,
        'metric': run.summary.metric,
        'compared_with': about.get('compared_with'),
        'differences': base_differences(run),
        'environment': about.get('environment', {}),
        'charts': charts,
        'resets': run.resets(),
        'warnings': run.warnings,
        'nearest': [_encoded(path) for path in run.nearest],
        'has_samples': bool(run.samples),
    }


def _comparison(runs: Sequence[Run], chart: str) -> dict:
    protocols = dict.fromkeys(run.summary.protocol for run in runs)
    return {
        'chart': chart,
        'metric': runs[0].summary.metric,
        'columns': _COLUMNS,
        'rows': [_row(run) for run in runs],
        'protocols': list(protocols),
        'names': [run.name for run in runs],
        'differences': setting_differences(list(runs)),
    }


def _row(run: Run) -> list[str]:
    summary = run.summary
    kept = summary.keep_ratio if summary.sparse else summary.sparse_keep_ratio
    return [
        run.name,
        '{:.2f} at {}'.format(*summary.best),
        '{:.2f} at {}'.format(*summary.last),
        ', '.join(f'{name} {ratio:.3f}' for name, ratio in kept.items()) or 'dense',
        str(summary.switches),
        str(run.duration),
    ]


def _samples(run: Run, budget: int) -> list[dict]:
    """Pictures with what belongs to them; the last one and as many others as fit, evenly."""
    encoded = {iteration: _encoded(path) for iteration, path in run.samples.items()}
    every = math.ceil(sum(map(len, encoded.values())) / budget) or 1
    kept = list(encoded)[::-1][::every][::-1]
    by_iter = {record['iter']: record for record in run.records}
    return [
        {
            'iter': iteration,
            'text': _caption(run, by_iter.get(iteration)),
            'src': encoded[iteration],
        }
        for iteration in kept
    ]


def _caption(run: Run, record: dict | None) -> str:
    if record is None:
        return ''
    metric = run.summary.metric
    phase = ('sparse phase' if record['sparse'] else 'dense phase') if record['keep_ratio'] else ''
    value = record['metrics'].get(metric, math.nan)
    return ', '.join(filter(None, [f'{metric} {value:.2f}', phase]))


def _encoded(path: Path) -> str:
    """A picture as the address that holds it."""
    with Image.open(path) as picture:
        picture.thumbnail((WIDEST, WIDEST))
        buffer = io.BytesIO()
        picture.convert('RGB').save(buffer, 'webp', quality=80)
    return 'data:image/webp;base64,' + base64.b64encode(buffer.getvalue()).decode()
