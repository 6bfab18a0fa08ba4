import numpy as np
import pytest
import torch
from mmagic.registry import TRANSFORMS

from rggan_mm.datasets.transforms import DiffAugmentTransform, diff_augment
from rggan_mm.errors import ConfigError


@pytest.fixture
def image():
    return np.random.RandomState(0).randint(0, 256, (8, 10, 3)).astype(np.uint8)


def seeded(results, **arguments):
    torch.manual_seed(3)
    return DiffAugmentTransform(**arguments)(results)


def test_float_image_equals_the_function(image):
    x = image.astype(np.float64) / 127.5 - 1
    y = seeded({'gt': x})['gt']
    torch.manual_seed(3)
    expected = diff_augment(torch.from_numpy(x).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert y.dtype == np.float64
    assert np.array_equal(y, expected.numpy())


def test_uint8_image_stays_uint8_and_cut_pixels_are_mid_grey(image):
    image[image > 126] = 255
    y = seeded({'gt': image, 'other': 1}, policy='cutout')
    assert y['other'] == 1
    assert y['gt'].dtype == np.uint8
    changed = y['gt'] != image
    assert changed.any()
    assert set(np.unique(y['gt'][changed])) == {128}


@pytest.mark.parametrize('shape', [(8, 8), (8, 8, 1), (8, 8, 3), (6, 9, 4)])
def test_shape_is_kept(shape):
    grey = np.full(shape, 9, np.uint8)
    assert seeded({'gt': grey})['gt'].shape == shape


def test_values_survive_the_way_to_float_and_back(image):
    assert np.array_equal(seeded({'gt': image}, policy='')['gt'], image)


def test_keys_and_registry(image):
    step = TRANSFORMS.build({'type': 'DiffAugmentTransform', 'keys': ['a', 'b']})
    results = step({'a': image, 'b': image.copy(), 'gt': image})
    assert not np.array_equal(results['a'], results['b'])
    assert results['gt'] is image
    assert repr(step) == (
        "DiffAugmentTransform(keys=['a', 'b'], policy='color,translation,cutout')"
    )


@pytest.mark.parametrize(
    ('results', 'message'),
    [({'img': None}, "no 'gt' among"), ({'gt': np.zeros((4, 4, 3), int)}, 'uint8 or float')],
)
def test_unusable_images_are_refused(results, message):
    with pytest.raises(ConfigError, match=message):
        DiffAugmentTransform()(results)


def test_unknown_policy_is_refused_at_construction():
    with pytest.raises(ConfigError, match='valid are color, translation, cutout'):
        DiffAugmentTransform(policy='flip')
