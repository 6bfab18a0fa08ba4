"""Every process generates images of its own."""

import pytest
import torch
from mmengine.config import Config
from processes import run_together
from tiny import ROOT, tiny_runner

from rggan_mm.evaluation import GANMetrics

CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
WORLD = 2


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_asks_for_it(path):
    assert Config.fromfile(path).randomness.diff_rank_seed


def one_process(rank, folder):
    seen = []

    def note(metric, data_batch, data_samples):
        seen.extend(sample['fake_img'] for sample in data_samples)
        return process(metric, data_batch, data_samples)

    process, GANMetrics.process = GANMetrics.process, note
    runner = tiny_runner(folder / 'run', default_hooks__checkpoint__save_best=None)
    runner.val()
    torch.save(torch.stack(seen), folder / f'{rank}.pth')


@pytest.mark.slow
def test_no_image_comes_twice(tmp_path):
    run_together(one_process, tmp_path, WORLD)
    images = [torch.load(tmp_path / f'{rank}.pth', weights_only=True) for rank in range(WORLD)]
    together = torch.cat(images).flatten(1)
    assert len(together.unique(dim=0)) == len(together)
