"""Sums up a run from the files in its work dir."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rggan_mm.errors import ConfigError

from .curves import evaluated_by, protocol_of


@dataclass(frozen=True)
class RunSummary:
    """What came out of a run.

    Attributes:
        metric: Full name of the metric.
        best: (value, iteration) of the lowest finite value.
        last: (value, iteration) of the last evaluation.
        last_five: Mean of the last five values, which needs no choice of a checkpoint.
        protocol: How the metric was measured.
        evaluated: Name of the network that the metric judged; None in records that do not say.
        best_keep_ratio: Its keep ratio at the best evaluation; None where it is not known.
        last_keep_ratio: The same at the last evaluation.
        keep_ratio: In [0, 1], by network, at the last evaluation; empty for dense runs.
        sparse: Whether that evaluation was in a sparse phase.
        sparse_keep_ratio: Keep ratio at the last evaluation in a sparse phase.
        switches: Number of phase switches.
        dense: Share of the evaluations that were in a dense phase, in [0, 1].
        files: Where samples, curves and checkpoints are.
    """

    metric: str
    best: tuple[float, int]
    last: tuple[float, int]
    last_five: float
    protocol: str
    evaluated: str | None
    best_keep_ratio: float | None
    last_keep_ratio: float | None
    keep_ratio: dict[str, float]
    sparse: bool
    sparse_keep_ratio: dict[str, float]
    switches: int
    dense: float
    files: dict[str, Path]

    def rows(self) -> list[tuple[str, str]]:
        """The summary as label and text, one row each."""
        rows = [
            (f'best {self.metric}', self._point(self.best, self.best_keep_ratio)),
            (f'last {self.metric}', self._point(self.last, self.last_keep_ratio)),
            ('mean of the last five', f'{self.last_five:.2f}'),
        ]
        rows += [('protocol', self.protocol)] if self.protocol else []
        for name in sorted(self.keep_ratio, key=lambda name: name != self.evaluated):
            label = f'{name} (evaluated)' if name == self.evaluated else name
            rows.append((f'keep ratio of {label}', self._keep_ratio(name)))
        if self.keep_ratio:
            rows.append(('phase switches', str(self.switches)))
            rows.append(('evaluations in a dense phase', f'{self.dense:.0%}'))
        return rows + [(name, str(path)) for name, path in self.files.items()]

    def _point(self, point: tuple[float, int], keep_ratio: float | None) -> str:
        text = f'{point[0]:.2f} at iteration {point[1]}'
        return text if keep_ratio is None else f'{text}, {self.evaluated} keeps {keep_ratio:.3f}'

    def _keep_ratio(self, name: str) -> str:
        now, before = self.keep_ratio[name], self.sparse_keep_ratio.get(name)
        if self.sparse or before is None:
            return f'{now:.3f}'
        return f'{now:.3f} (dense phase; {before:.3f} at the last sparse evaluation)'


def summarize(work_dir: Path, metric: str | None = None) -> RunSummary:
    """Reads the records of a run.

    Args:
        work_dir: The run's work dir.
        metric: Full name of the metric; None takes the first that ends in 'fid'.

    Returns:
        The summary.

    Raises:
        ConfigError: No records there, or no such metric in them.
    """
    records = read_records(work_dir / 'evaluations.json')
    metric = metric or next((n for n in records[-1]['metrics'] if n.endswith('fid')), None)
    if metric not in records[-1]['metrics']:
        raise ConfigError(f'metric={metric!r}: recorded are {", ".join(records[-1]["metrics"])}')
    points = [(record['metrics'][metric], record['iter']) for record in records]
    finite = [point for point in points if math.isfinite(point[0])]
    best = min(finite, default=points[-1])
    best_record = records[points.index(best)]
    return RunSummary(
        metric=metric,
        best=best,
        last=points[-1],
        last_five=fmean(value for value, _ in points[-5:]),
        protocol=_protocol(best_record, records[-1], metric),
        evaluated=evaluated_by(records[-1], metric),
        best_keep_ratio=_kept_by_evaluated(best_record, metric),
        last_keep_ratio=_kept_by_evaluated(records[-1], metric),
        keep_ratio=records[-1]['keep_ratio'],
        sparse=records[-1]['sparse'],
        sparse_keep_ratio=next((r['keep_ratio'] for r in records[::-1] if r['sparse']), {}),
        switches=_switches(work_dir / 'phase_history.json'),
        dense=fmean(not record['sparse'] for record in records),
        files=_files(work_dir),
    )


def _kept_by_evaluated(record: dict, metric: str) -> float | None:
    return record['keep_ratio'].get(evaluated_by(record, metric))


def _protocol(best: dict, last: dict, metric: str) -> str:
    """How both numbers were measured; a run may be resumed with another protocol."""
    texts = [protocol_of(record['metrics'], metric) for record in (best, last)]
    if texts[0] == texts[1]:
        return texts[0]
    return f'best: {texts[0]}; last: {texts[1]}'


def read_records(path: Path) -> list[dict]:
    """Reads the evaluations of a run.

    Args:
        path: ``evaluations.json``.

    Returns:
        One dict an evaluation, in order; at least one.

    Raises:
        ConfigError: No such file, or no evaluation in it.
    """
    try:
        records = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f'{path}: no record of evaluations there ({error})') from None
    if not records:
        raise ConfigError(f'{path}: the run has not been evaluated yet')
    return records


def _switches(path: Path) -> int:
    if not path.exists():
        return 0
    return sum(record['switched'] for record in json.loads(path.read_text()))


def _files(work_dir: Path) -> dict[str, Path]:
    places = {
        'samples': work_dir / 'samples',
        'curves': work_dir / 'curves.png',
        'best checkpoint': next(iter(sorted(work_dir.glob('best_*.pth'))), None),
        'last checkpoint': _last_checkpoint(work_dir),
    }
    return {name: path for name, path in places.items() if path is not None and path.exists()}


def _last_checkpoint(work_dir: Path) -> Path | None:
    pointer = work_dir / 'last_checkpoint'
    return work_dir / Path(pointer.read_text().strip()).name if pointer.exists() else None
