"""Times training iterations of two configs against each other.

    python tools/benchmark.py configs/sngan_digits_10pct.py configs/rg_sngan_digits_10pct.py

Both runs live in one process and take turns (A B A B ...), so that what else the
machine does hits both. One turn is one generator step with its discriminator steps.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

import rggan_mm  # noqa: F401  registers what the configs name


class Contestant:
    """A run that is stepped from outside.

    Args:
        path: Config file.
        work_dir: Scratch folder.
        iterations: Iterations that the run may take at most.
    """

    def __init__(self, path: Path, work_dir: str, iterations: int) -> None:
        config = Config.fromfile(path)
        config.update(work_dir=work_dir, experiment_name=path.stem, log_level='ERROR')
        config.launcher = 'none'
        config.train_cfg.update(max_iters=iterations, val_interval=iterations)  # no evaluation
        self.name = path.stem
        self.runner = Runner.from_cfg(config)
        self.times: list[float] = []
        self._start()
        self.turn_length = self.runner.model.discriminator_steps

    def _start(self) -> None:
        """What ``runner.train()`` does ahead of its loop."""
        runner = self.runner
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner._val_loop = runner.build_val_loop(runner._val_loop)
        runner.call_hook('before_run')
        runner._init_model_weights()
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        runner.model.train()

    def turn(self) -> None:
        """Takes one turn and notes the milliseconds per iteration."""
        # MMagic's trainers read the iteration from the newest message hub.
        MessageHub._instance_dict.move_to_end(self.runner.message_hub.instance_name)
        start = _now()
        for _ in range(self.turn_length):
            self.runner.train_loop.run_iter(next(self.runner.train_loop.dataloader_iterator))
        self.times.append((_now() - start) * 1000 / self.turn_length)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def compete(paths: list[Path], turns: int, warm_up: int) -> list[Contestant]:
    """Lets configs take turns.

    Args:
        paths: Config files, the first is the yardstick.
        turns: Turns that count.
        warm_up: Turns before those.

    Returns:
        One contestant per config, with its times in milliseconds per iteration.
    """
    with tempfile.TemporaryDirectory() as folder:
        iterations = (turns + warm_up + 1) * 100
        rivals = [Contestant(path, f'{folder}/{path.stem}', iterations) for path in paths]
        for _ in range(turns + warm_up):
            for rival in rivals:
                rival.turn()
    for rival in rivals:
        del rival.times[:warm_up]
    return rivals


def report(rivals: list[Contestant]) -> Table:
    """Median and spread, and the same of the ratio to the first turn by turn."""
    table = Table(title=f'training iteration, {len(rivals[0].times)} turns each, {_hardware()}')
    for column in ('config', 'median ms', '10-90 %', 'ratio', '10-90 %'):
        table.add_column(column, no_wrap=True)
    for rival in rivals:
        ratios = [ours / first for ours, first in zip(rival.times, rivals[0].times, strict=True)]
        table.add_row(
            rival.name,
            f'{statistics.median(rival.times):.1f}',
            _spread(rival.times, 1),
            f'{statistics.median(ratios):.3f}',
            _spread(ratios, 3),
        )
    return table


def _spread(values: list[float], digits: int) -> str:
    deciles = statistics.quantiles(values, n=10)
    return f'{deciles[0]:.{digits}f} - {deciles[-1]:.{digits}f}'


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'CPU, {torch.get_num_threads()} threads'


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', type=Path, help='the first one is the yardstick')
    parser.add_argument('--turns', type=int, default=60, help='turns that count (default 60)')
    parser.add_argument('--warm-up', type=int, default=5, help='turns before (default 5)')
    args = parser.parse_args()
    Console().print(report(compete(args.configs, args.turns, args.warm_up)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
