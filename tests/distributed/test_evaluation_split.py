"""An evaluation by three processes has the images, and the values, of one process."""

import json

import pytest
import torch
from gloo_runs import SharedNoise, needs_cpu, runner_of
from mmengine.hooks import Hook
from processes import run_together

pytestmark = [needs_cpu, pytest.mark.slow]
# Neither divides by three, so MMagic's sampler gives some process more than its share.
FAKES, REALS, WORLD, NOISE = 20, 100, 3, 32
SETTINGS = {
    'val_evaluator__metrics__0__values': ['fid', 'pr'],
    'val_evaluator__metrics__0__neighbours': 1,
    # Processes start with one generator; averages differ until a run or a checkpoint sets them.
    'val_evaluator__metrics__0__sample_model': 'orig',
    'val_evaluator__metrics__0__fake_nums': FAKES,
    'val_evaluator__metrics__0__real_nums': REALS,
    'val_evaluator__metrics__0__cache_dir': None,
    'default_hooks__checkpoint__save_best': None,
}


class Keep(Hook):
    def after_val_epoch(self, runner, metrics=None):
        self.metrics = dict(metrics)


def evaluate(folder, rank=0, world=1):
    """The metrics of a run's validation."""
    runner = runner_of(folder, rank, world, **SETTINGS)
    images = torch.randn(FAKES, NOISE, generator=torch.Generator().manual_seed(5))
    # Far from the others, as a value that is too many must show.
    too_many = torch.full((100, NOISE), 50.0)
    runner.register_hook(SharedNoise(torch.cat([images, too_many]), rank, world))
    keep = Keep()
    runner.register_hook(keep)
    runner.val()
    return keep.metrics


def one_of_three(rank, folder):
    (folder / f'{rank}.json').write_text(json.dumps(evaluate(folder / 'run', rank, WORLD)))


def test_three_processes_measure_what_one_does(tmp_path):
    run_together(one_of_three, tmp_path, WORLD)
    first, *others = [json.loads((tmp_path / f'{r}.json').read_text()) for r in range(WORLD)]
    assert all(other == first for other in others)
    single = evaluate(tmp_path / 'single')
    assert single.keys() == first.keys()
    assert (first['digits/n_fake'], first['digits/n_real']) == (FAKES, REALS)
    for name, value in single.items():
        same = pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
        assert first[name] == same, name
