"""Sample grids show the colours that the generator means."""

import random

import numpy as np
import pytest
from mmagic.datasets.transforms import PackInputs
from mmengine.dataset import pseudo_collate
from PIL import Image
from tiny import hook_of, tiny_runner
from torch import nn

from rggan_mm.hooks import SampleGridHook

RED = np.tile(np.array([255, 0, 0], np.uint8), (16, 16, 1))


class OneImage(nn.Module):
    """Makes the same image of any noise."""

    def __init__(self, image):
        super().__init__()
        self.register_buffer('image', image)

    def forward(self, noise, return_noise=False):
        return self.image.expand(len(noise), -1, -1, -1)


class Restless:
    """A pipeline that draws random numbers."""

    def __init__(self, order):
        self.order = order

    def __call__(self, results):
        random.random()
        np.random.random()
        red = RED if self.order == 'RGB' else RED[:, :, ::-1]
        return PackInputs()({'gt': red, 'gt_channel_order': self.order, 'gt_label': 0})


@pytest.mark.parametrize('model_order', ['BGR', 'RGB', None])
@pytest.mark.parametrize('data_order', ['BGR', 'RGB'])
def test_a_generator_of_red_training_images_gives_a_red_grid(tmp_path, model_order, data_order):
    runner = tiny_runner(tmp_path, model__data_preprocessor__output_channel_order=model_order)
    data = pseudo_collate([Restless(data_order)(None)])
    real = runner.model.data_preprocessor(data, True)['data_samples'].gt_img
    seen = model_order or data_order
    assert real[0, :, 0, 0].tolist() == ([-1, -1, 1] if seen == 'BGR' else [1, -1, -1])
    runner.model.generator_ema = OneImage(real)
    runner.val_loop.dataloaders[0].dataset.pipeline = Restless(data_order)
    before = random.getstate(), np.random.get_state()[1].tolist()
    hook_of(runner, SampleGridHook).after_val_epoch(runner)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    with Image.open(tmp_path / 'samples' / 'iter_000000.png') as picture:
        assert picture.convert('RGB').getpixel((20, 20)) == (255, 0, 0)
