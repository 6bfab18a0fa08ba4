"""The parts of a GPU check, each as jobs."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .figures import read_json, read_tests, read_training
from .jobs import Job

ROOT = Path(__file__).resolve().parents[2]
PARTS = ('bench', 'replay', 'tests', 'digits', 'evaluation')
# Seconds of each job at full size; those of the benchmarks together have BENCH_SECONDS.
BENCH_SECONDS = 350
LIMITS = {
    'bench_sngan': 120,
    'bench_sngan_bf16': 80,
    'bench_sngan_fast': 70,
    'bench_sngan_bf16_fast': 70,
    'bench_stylegan2': 120,
    'replay': 60,
    'tests': 120,
    'digits': 90,
    'evaluation': 90,
}
# A run that waits for the device in every forward cannot be captured as a graph.
RUNS = ('dense', 'published', 'ste', 'dense_phase', 'defaults')
DIGITS = 'configs/rg_sngan_digits_10pct.py'
STYLEGAN2 = 'configs/rg_stylegan2_folder_256.py'
_RECORDINGS = (ROOT / 'tests' / 'reference' / 'data', ROOT.parent / 'shared' / 'reference')
_TINY = (
    'model.generator.base_channels=4',
    'model.discriminator.base_channels=4',
    'train_dataloader.batch_size=4',
    'val_evaluator.metrics.0.fake_nums=20',
)


@dataclass(frozen=True)
class Jobs:
    """Makes the jobs of one check.

    Args:
        out: Folder of results and logs.
        quick: Everything tiny, as on a CPU.
    """

    out: Path
    quick: bool = False

    def bench(self) -> list[Job]:
        """The benchmarks, the most important first; one after the other."""
        fast = ('--fast', '--channels-last')
        if self.quick:
            return [self._sngan(), self._sngan('--amp', 'bf16', *fast)]
        jobs = [self._sngan(), self._sngan(*fast), self._sngan('--amp', 'bf16', *fast)]
        options = ['--config', STYLEGAN2, '--batch-size', '16', '--runs', 'dense', 'published']
        few = ['--turns', '5', '--warm-up', '2']
        jobs.append(self._benchmark('bench_stylegan2', [*options, *few]))
        return [*jobs, self._sngan('--amp', 'bf16')]

    def rest(self, parts: set[str]) -> list[Job]:
        """One job for each other part that is asked for; they may run side by side."""
        return [getattr(self, part)() for part in PARTS if part in parts - {'bench'}]

    def replay(self) -> Job:
        """The recordings of the published step, in float64."""
        files = [str(f) for folder in _RECORDINGS for f in sorted(folder.glob('*_step_*.npz'))]
        command = ['tests/reference/replay.py', '--device', 'auto', *files]
        return self._writing_json('replay', command)

    def tests(self) -> Job:
        """The tests that need a GPU."""
        result = self.out / 'tests.xml'
        files = [
            str(path.relative_to(ROOT))
            for path in sorted((ROOT / 'tests').rglob('test_*.py'))
            if 'mark.gpu' in path.read_text(encoding='utf-8')
        ]
        options = ['-m', 'gpu', '-p', 'no:cacheprovider', f'--junit-xml={result}', *files]
        return self._job('tests', ['-m', 'pytest', *options], partial(read_tests, result), result)

    def digits(self) -> Job:
        """A short training with one evaluation and its sample grid."""
        iterations, folder = 5 if self.quick else 800, self.out / 'digits'
        changes = [f'train_cfg.{name}={iterations}' for name in ('max_iters', 'val_interval')]
        changes += _TINY if self.quick else ()
        command = ['tools/train.py', DIGITS, '--work-dir', str(folder), '--cfg-options', *changes]
        old = folder / 'evaluations.json'
        return self._job('digits', command, partial(read_training, folder), old)

    def evaluation(self) -> Job:
        """An evaluation of many images."""
        options = ['--num', '100', '--without-inception'] if self.quick else ['--num', '10000']
        return self._writing_json('evaluation', ['dev/checks/evaluation.py', *options])

    def _sngan(self, *options: str) -> Job:
        words = ['bench_sngan', *(name for name in ('bf16', 'fast') if name in ' '.join(options))]
        if self.quick:
            given = ['--config', DIGITS, '--batch-size', '2', '--runs', 'dense', 'published']
        elif options:
            given = ['--batch-size', '64', '--runs', *RUNS]
        else:
            given = ['--batch-size', '64', '--runs', *RUNS[:-1], 'naive', RUNS[-1]]
        return self._benchmark('_'.join(words), [*given, *options])

    def _benchmark(self, name: str, options: list[str]) -> Job:
        turns = ('1', '1') if self.quick else ('12', '5')
        given = ['--turns', turns[0], '--warm-up', turns[1], *options]
        return self._writing_json(name, ['tools/benchmark.py', *given])

    def _writing_json(self, name: str, command: list[str]) -> Job:
        result = self.out / f'{name}.json'
        return self._job(
            name, [*command, '--json', str(result)], partial(read_json, result), result
        )

    def _job(self, name: str, command: list[str], read: partial, result: Path) -> Job:
        result.unlink(missing_ok=True)  # of an earlier check
        return Job(name, [sys.executable, *command], LIMITS[name], self.out / f'{name}.log', read)
