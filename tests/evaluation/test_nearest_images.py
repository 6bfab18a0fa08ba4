"""Generated images above their nearest real ones."""

import numpy as np
import pytest
import torch
from PIL import Image

from rggan_mm.evaluation.nearest_images import nearest_images, save_nearest


class Images:
    """A source of given images."""

    name = 'given'

    def __init__(self, *batches):
        self.given = batches

    def batches(self):
        return iter(self.given)


def grey(*levels, size=4):
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 3, size, size)


class Level(torch.nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


@pytest.mark.parametrize(
    'batches',
    [[(0.0, 0.5, 0.9, 0.2)], [(0.0, 0.5), (0.9, 0.2)], [(0.9,), (0.2,), (0.5,), (0.0,)]],
)
def test_the_nearest_of_all_batches_is_found(batches):
    reference = Images(*(grey(*levels) for levels in batches))
    generated = Images(grey(0.1 - 1e-3, 0.85), grey(0.3, 0.55))
    samples, nearest = nearest_images(reference, generated, Level())
    assert torch.equal(samples, grey(0.1 - 1e-3, 0.85, 0.3, 0.55))
    assert torch.equal(nearest, grey(0.0, 0.9, 0.2, 0.5))


def test_no_more_than_asked_for_and_of_one_size():
    reference = Images(grey(0.0, 1.0, size=8))
    samples, nearest = nearest_images(reference, Images(grey(0.1, 0.8, 0.9)), Level(), count=2)
    assert torch.equal(nearest, grey(0.0, 1.0))
    two_sizes = Images(grey(0.1), grey(0.8, size=6))
    samples, nearest = nearest_images(reference, two_sizes, Level())
    assert samples.shape == nearest.shape == (1, 3, 4, 4)


def test_the_picture_has_the_samples_above(tmp_path):
    save_nearest(grey(0.2, 0.4), grey(0.6, 0.8), tmp_path / 'a.png')
    pixels = np.asarray(Image.open(tmp_path / 'a.png'))
    assert pixels.shape == (2 * 6 + 2, 2 * 6 + 2, 3)  # a frame of two pixels
    assert [pixels[y, x, 0] for y in (4, 10) for x in (4, 10)] == [51, 102, 153, 204]
