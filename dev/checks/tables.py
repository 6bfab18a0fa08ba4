"""What a check found, as tables to read."""

from rich.table import Table

PARTS = ('part', 'state', 's', 'found')
RUNS = ('benchmark', 'run', 'ms', 'ratio', '10-90 %', 'waits', 'kernels', 'in kernels', 'peak MB')


def tables_of(found: dict) -> list[Table]:
    """The benchmarks' runs, then one line for each part.

    Args:
        found: What dev/gpu_check.py writes to its JSON file.
    """
    machine = found['environment']
    runs = Table(title='one training iteration; ratio to the first run of each benchmark')
    for column in RUNS:
        runs.add_column(column, no_wrap=True)
    for name, part in found['parts'].items():
        for run in part['figures'].get('runs', {}).values():
            runs.add_row(name.removeprefix('bench_'), run['title'], *_cells_of(run))
    parts = Table(
        *PARTS,
        title=f'{machine["gpu"] or "no GPU"}, PyTorch {machine["torch"]}, '
        f'Python {machine["python"]}, {found["seconds"]:.0f} s',
    )
    for name, part in found['parts'].items():
        text = part['error'] or _summary(part['figures'])
        parts.add_row(name, part['state'], f'{part["seconds"]:.0f}', text)
    return [runs, parts] if runs.row_count else [parts]


def _cells_of(run: dict) -> tuple[str, ...]:
    kernels, share = run['kernels'], run.get('kernel_share')
    return (
        f'{run["milliseconds"]:.1f}',
        f'{run["ratio"]:.3f}',
        '{:.3f} - {:.3f}'.format(*run['ratio_spread']),
        f'{run["waits"]:.1f}',
        '-' if kernels is None else f'{kernels:.0f}',
        '-' if share is None else f'{share:.0%}',
        f'{run["peak_bytes"] / 1e6:.0f}',
    )


def _summary(figures: dict) -> str:
    """The figures of one part that matter most."""
    if 'runs' in figures:
        return f'batch {figures["batch_size"]}, {len(figures["runs"])} runs'
    if 'errors' in figures:
        return f'largest error {max(e["error"] for e in figures["errors"].values()):.1e}'
    if 'passed' in figures:
        return f'{figures["passed"]} passed, {figures["skipped"]} skipped'
    if 'fid' in figures:
        return f'{figures["iterations"]} iterations, FID {figures["fid"]:.2f}'
    if 'images' in figures:
        return f'{figures["images"]} images in {figures["seconds"]:.2f} s'
    return ''
