"""Log lines that a person can read; the numbers stay in scalars.json."""

import datetime
import time
from typing import Any

from mmengine.registry import LOG_PROCESSORS
from mmengine.runner import LogProcessor, Runner

from rggan_mm.analysis import protocol_of
from rggan_mm.analysis.curves import PROTOCOL

from .recording import RecordingHook

PHASE = 'sparse_phase'
KEEP_RATIO = '_keep_ratio'
_TIMES = ('time', 'data_time')
_OF_PROTOCOL = '/protocol/'


@LOG_PROCESSORS.register_module()
class ShortLogProcessor(LogProcessor):
    """Says how far a run is, its phase, its keep ratios and its last FID.

    Takes the arguments of MMEngine's LogProcessor and hands the same numbers to
    ``scalars.json``, TensorBoard and the like; only the text is another. The time that is left
    counts evaluations and checkpoints, from the first line on. Lines begin as MMEngine's do, for
    scripts that read them.
    """

    _first: tuple[float, int] | None = None  # moment and iteration of the first line

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """Numbers and line after an iteration."""
        tag, _ = super().get_log_after_iter(runner, batch_idx, mode)
        if mode == 'train':
            parts = [
                self._progress(runner),
                *_pruning(self._plain(tag, mode)),
                *_last_metric(runner),
            ]
            return tag, ', '.join(parts)
        return tag, f'Iter({mode}) [{batch_idx + 1}]'

    def get_log_after_epoch(
        self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict, str]:
        """Numbers and line after a validation or a test."""
        tag, _ = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        texts = self._collect_non_scalars(runner, mode)
        metrics = self._plain({**tag, **texts}, mode)
        text = ', '.join([*_metrics(metrics), *_pruning(metrics)])
        return tag, f'Iter({mode}) [{batch_idx}/{batch_idx}] {text or "nothing was measured"}'

    def _progress(self, runner: Runner) -> str:
        done, total, now = runner.iter + 1, runner.max_iters, time.monotonic()
        text = f'Iter(train) [{done}/{total}] ({done / total:.0%})'
        if self._first is None or done <= self._first[1]:  # the start, or a rollback
            self._first = (now, done)
            return text
        begun, iteration = self._first
        seconds = (now - begun) / (done - iteration) * (total - done)
        return f'{text}, {datetime.timedelta(seconds=int(seconds))} left'

    def _plain(self, tag: dict, mode: str) -> dict:
        return {self._remove_prefix(name, f'{mode}/'): value for name, value in tag.items()}


def with_short_lines(log_processor: Any) -> Any:
    """Takes :class:`ShortLogProcessor` where a config asks for MMEngine's own LogProcessor.

    Args:
        log_processor: The config; anything else is given back.

    Returns:
        The config, a changed copy where it names MMEngine's.
    """
    kind = log_processor.get('type') if isinstance(log_processor, dict) else None
    kind = LOG_PROCESSORS.get(kind) if isinstance(kind, str) else kind
    if kind is not LogProcessor:
        return log_processor
    return {**log_processor, 'type': ShortLogProcessor}


def _pruning(tag: dict) -> list[str]:
    parts = [] if PHASE not in tag else ['sparse phase' if tag[PHASE] else 'dense phase']
    kept = {n.removesuffix(KEEP_RATIO): v for n, v in tag.items() if n.endswith(KEEP_RATIO)}
    text = ', '.join(f'{name} {ratio:.3f}' for name, ratio in kept.items())
    return [*parts, *([f'kept: {text}'] if kept else [])]


def _last_metric(runner: Runner) -> list[str]:
    names = (hook.metric for hook in runner.hooks if isinstance(hook, RecordingHook))
    name = next(names, None)
    known = runner.message_hub.log_scalars.get(f'val/{name}')
    return [] if known is None else [f'last {name} {known.current():.4g}']


def _metrics(metrics: dict) -> list[str]:
    """All metrics, those of one prefix before the protocol that they share."""
    groups: dict[str, list[str]] = {}
    for name, value in metrics.items():
        prefix, _, last = name.rpartition('/')
        known = last in PROTOCOL or _OF_PROTOCOL in name or name in (*_TIMES, PHASE)
        if not known and not name.endswith(KEEP_RATIO):
            shown = f'{value:.4g}' if isinstance(value, float) else value
            groups.setdefault(prefix, []).append(f'{name}: {shown}')
    return [', '.join(values) + _in_brackets(metrics, prefix) for prefix, values in groups.items()]


def _in_brackets(metrics: dict, prefix: str) -> str:
    protocol = protocol_of(metrics, f'{prefix}/')
    return f' ({protocol})' if protocol else ''
