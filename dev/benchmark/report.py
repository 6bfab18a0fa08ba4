"""What a comparison found: a table to read and a dict to keep."""

import statistics
from collections.abc import Mapping, Sequence

import torch
from rich.table import Table

from rggan_mm.version import __version__

from .contestant import Contestant
from .measures import Costs

TIMES = ('run', 'ms', '10-90 %', 'images/s', 'ratio', '10-90 %')
COSTS = ('run', 'peak MB', 'operations', 'waits', 'kernels', 'in kernels', 'ms/1,000 images')


def summarize(
    rivals: Mapping[str, Contestant], costs: Mapping[str, Costs], settings: Mapping[str, object]
) -> dict:
    """All figures of a comparison.

    Args:
        rivals: The runs by name, timed; the first is the yardstick.
        costs: What a turn of each costs.
        settings: What the comparison was asked for.

    Returns:
        A dict that JSON can hold. ``ratio`` is the median of the ratios turn by turn to
        the yardstick's, ``ratio_spread`` their 10 % and 90 % quantiles.
    """
    first = next(iter(rivals.values())).milliseconds
    return {
        'rggan_mm': __version__,
        'torch': torch.__version__,
        'hardware': _hardware(),
        'turns': len(first),
        **settings,
        'runs': {
            name: {**_times(rival, first), **_figures(rival, costs[name])}
            for name, rival in rivals.items()
        },
    }


def tables_of(summary: dict) -> tuple[Table, Table]:
    """What an iteration of each run takes, and what it costs beside time.

    Args:
        summary: From :func:`summarize`.
    """
    title = (
        f'one training iteration, median of {summary["turns"]} turns, batch '
        f'{summary["batch_size"]}\n{summary["hardware"]}, PyTorch {summary["torch"]}'
    )
    times = Table(*TIMES, title=title)
    costs = Table(*COSTS, title='per iteration; sampling from the averaged generator')
    for run in summary['runs'].values():
        times.add_row(run['title'], *_times_of(run))
        costs.add_row(run['title'], *_costs_of(run))
    return times, costs


def _times_of(run: dict) -> tuple[str, ...]:
    return (
        _short(run['milliseconds']),
        ' - '.join(map(_short, run['milliseconds_spread'])),
        f'{run["images_per_second"]:.0f}',
        f'{run["ratio"]:.3f}',
        '{:.3f} - {:.3f}'.format(*run['ratio_spread']),
    )


def _short(milliseconds: float) -> str:
    return f'{milliseconds:.0f}' if milliseconds >= 100 else f'{milliseconds:.1f}'


def _costs_of(run: dict) -> tuple[str, ...]:
    return (
        f'{run["peak_bytes"] / 1e6:.0f}',
        f'{run["operations"]:.0f}',
        f'{run["waits"]:.1f}',
        '-' if run['kernels'] is None else f'{run["kernels"]:.0f}',
        '-' if run['kernel_share'] is None else f'{run["kernel_share"]:.0%}',
        f'{run["sampling_milliseconds"]:.0f}',
    )


def _times(rival: Contestant, first: Sequence[float]) -> dict:
    times = rival.milliseconds
    ratios = [own / other for own, other in zip(times, first, strict=True)]
    median = statistics.median(times)
    return {
        'title': rival.kind.title,
        'milliseconds': median,
        'milliseconds_spread': _deciles(times),
        'images_per_second': rival.batch_size * 1000 / median,
        'ratio': statistics.median(ratios),
        'ratio_spread': _deciles(ratios),
    }


def _figures(rival: Contestant, costs: Costs) -> dict:
    return {
        'operations': costs.operations,
        'waits': costs.waits,
        'kernels': costs.kernels,
        'kernel_share': costs.kernel_share,
        'peak_bytes': costs.peak_bytes,
        'sampling_milliseconds': statistics.median(rival.sampling),
        'sampling_spread': _deciles(rival.sampling),
        'keep_ratios': {name: net.keep_ratio() for name, net in rival.networks.items()},
    }


def _deciles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    cuts = statistics.quantiles(values, n=10, method='inclusive')
    return cuts[0], cuts[-1]


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'CPU, {torch.get_num_threads()} threads'
