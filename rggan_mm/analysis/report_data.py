"""Reads what the report shows of a run from its work dir; no file there runs code."""

import json
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rggan_mm.errors import ConfigError

from .summary import RunSummary, read_records, summarize

Series = dict[int, float]
_LINE = re.compile(r'(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - \S+ - (\w+) - (.*)')
_TIME = '%Y/%m/%d %H:%M:%S'


@dataclass(frozen=True)
class Run:
    """A run as the report shows it.

    Attributes:
        name: What the report calls it.
        summary: Best and last value, protocol, keep ratios.
        records: Its evaluations.
        about: What ``run.json`` says; empty for runs that were made before 0.2.
        scalars: Logged numbers of the training by name, each by iteration.
        samples: Pictures of the grid by iteration.
        nearest: Pictures of samples with their nearest training images.
        warnings: Warnings and errors of the log, and how often each came.
        duration: From the first to the last line of the log, all starts together.
    """

    name: str
    summary: RunSummary
    records: list[dict]
    about: dict[str, Any]
    scalars: dict[str, Series]
    samples: dict[int, Path]
    nearest: list[Path]
    warnings: dict[str, int] = field(default_factory=dict)
    duration: timedelta = timedelta()

    @property
    def metric(self) -> Series:
        """The metric that the run follows, by iteration."""
        name = self.summary.metric
        return {r['iter']: r['metrics'][name] for r in self.records if name in r['metrics']}

    def cost(self) -> dict[str, str]:
        """Time and memory, in words."""
        times = list(self.scalars.get('time', {}).values())
        memory = max(self.scalars.get('memory', {}).values(), default=None)
        return {
            'duration': str(self.duration),
            'seconds an iteration (median)': f'{statistics.median(times):.3f}' if times else '-',
            'GPU memory, most': f'{memory:,.0f} MB' if memory else 'no GPU',
        }

    def resets(self) -> dict[str, int]:
        """How often the guard reset each layer."""
        networks = self.records[-1].get('resets', {})
        return {f'{n}.{k}': count for n, layers in networks.items() for k, count in layers.items()}


def read_run(work_dir: Path, metric: str | None = None, name: str | None = None) -> Run:
    """Reads a run.

    Args:
        work_dir: Its work dir.
        metric: Full name of the metric to follow; None takes the first that ends in 'fid'.
        name: What to call it; None takes the folder's name.

    Returns:
        The run.

    Raises:
        ConfigError: No evaluations there, no such metric, or a damaged file.
    """
    records = read_records(work_dir / 'evaluations.json')
    about = _read_about(work_dir / 'run.json')
    # Another run may have been here before.
    first = about.get('started', '')
    starts = sorted(p for p in work_dir.iterdir() if p.is_dir() and p.name >= first)
    warnings, duration = _read_logs([log for start in starts for log in start.glob('*.log')])
    pictures = {r['iter']: work_dir / 'samples' / f'iter_{r["iter"]:06d}.png' for r in records}
    return Run(
        name=name or work_dir.resolve().name,
        summary=summarize(work_dir, metric),
        records=records,
        about=about,
        scalars=_read_scalars([start / 'vis_data' / 'scalars.json' for start in starts]),
        samples={iteration: path for iteration, path in pictures.items() if path.exists()},
        nearest=sorted(work_dir.glob('nearest*.png')),
        warnings=warnings,
        duration=duration,
    )


def setting_differences(runs: list[Run]) -> list[list[str]]:
    """Settings that are not the same in all runs: name, then the value in each run."""
    settings = [run.about.get('settings', {}) for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = [[name, *(_shown(one.get(name)) for one in settings)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def base_differences(run: Run) -> list[list[str]]:
    """Settings in which a run differs from its base: name, value there, value in the run."""
    about = run.about
    names = [*about.get('base', {}), *about.get('added', ())]
    return [
        [name, _shown(about['base'].get(name)), _shown(about['settings'].get(name))]
        for name in names
    ]


def _shown(value: Any) -> str:
    return '-' if value is None else str(value)


def _read_about(path: Path) -> dict:
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f'{path} is damaged ({error}); remove it') from None


def _read_scalars(paths: list[Path]) -> dict[str, Series]:
    """Numbers of all starts of a run; where two know an iteration, the later start is right."""
    found: dict[str, Series] = {}
    for row in (row for path in paths if path.exists() for row in _rows(path)):
        if 'iter' not in row:  # of an evaluation
            continue
        for name, value in row.items():
            if isinstance(value, (int, float)) and name not in ('iter', 'step'):
                found.setdefault(name, {})[row['iter']] = value
    return {name: dict(sorted(series.items())) for name, series in found.items()}


def _rows(path: Path) -> Iterator[dict]:
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # the last line of a run that was killed
            continue


def _read_logs(paths: list[Path]) -> tuple[dict[str, int], timedelta]:
    warnings: Counter[str] = Counter()
    duration = timedelta()
    for path in paths:
        lines = [m for m in map(_LINE.match, path.read_text().splitlines()) if m]
        warnings.update(m[3] for m in lines if m[2] in ('WARNING', 'ERROR', 'CRITICAL'))
        if lines:
            first, last = (datetime.strptime(m[1], _TIME) for m in (lines[0], lines[-1]))
            duration += last - first
    return dict(warnings), duration
