import numpy as np
import pytest
import torch
from mmagic.datasets.transforms import PackInputs
from mmagic.registry import DATASETS

from rggan_mm.datasets import Digits
from rggan_mm.datasets.digits import enlarge
from rggan_mm.errors import ConfigError


def labels_of(data):
    return data.get_gt_labels()


def images_of(data):
    return np.stack([data.get_data_info(index)['gt'] for index in range(len(data))])


@pytest.mark.parametrize(('split', 'count'), [('train', 1437), ('test', 360)])
def test_splits_hold_the_classes_in_proportion(split, count):
    data = Digits(split=split, image_size=16)
    assert len(data) == count
    counts = np.bincount(labels_of(data), minlength=10)
    assert counts.min() > 0.09 * count
    assert counts.max() < 0.11 * count


def test_splits_have_no_image_in_common():
    train, test = (
        {image.tobytes() for image in images_of(Digits(split=split, image_size=16))}
        for split in ('train', 'test')
    )
    assert len(train) == 1437
    assert not train & test


def test_order_is_shuffled_and_fixed():
    labels = labels_of(Digits(split='train', image_size=16))
    assert list(labels[:5]) == list(labels_of(Digits(split='train', image_size=16))[:5])
    assert set(labels[:100]) == set(range(10))


@pytest.mark.parametrize('size', [16, 32])
def test_item_has_the_form_of_cifar10(size):
    item = Digits(split='train', image_size=size, pipeline=[PackInputs()])[0]
    sample = item['data_samples']
    assert item['inputs'] == {}
    assert sample.gt_img.dtype == torch.uint8
    assert sample.gt_img.shape == (3, size, size)
    assert sample.metainfo['gt_channel_order'] == 'RGB'
    assert sample.gt_label.label.item() in range(10)
    assert torch.equal(sample.gt_img[0], sample.gt_img[2])


def test_metainfo_and_registry():
    data = DATASETS.build({'type': 'Digits', 'split': 'test', 'image_size': 16})
    assert data.metainfo['classes'] == tuple('0123456789')
    assert data.test_mode
    assert 'Digits test, 16x16' in repr(data)


@pytest.mark.parametrize('size', [16, 32])
def test_enlargement_keeps_grey_level_and_orientation(size):
    ramp = np.tile(np.arange(8.0) * 2, (8, 1))[None]  # brighter to the right
    image = enlarge(ramp, size)[0, :, :, 0].astype(int)
    assert image.shape == (size, size)
    assert np.all(np.diff(image, axis=1) >= 0)
    assert np.all(image == image[:1])
    assert abs(image.mean() - ramp.mean() * 255 / 16) < 1.5
    assert enlarge(np.full((1, 8, 8), 16.0), size).min() == 255


def test_ratio_takes_the_first_images():
    whole = images_of(Digits(image_size=16))
    part = images_of(Digits(image_size=16, data_ratio=0.2))
    assert len(part) == 287
    assert np.array_equal(part, whole[:287])


def test_other_subsets_are_seeded():
    def chosen(seed, subset='random'):
        data = Digits(image_size=16, data_ratio=0.05, subset=subset, subset_seed=seed)
        return images_of(data)

    assert np.array_equal(chosen(1), chosen(1))
    assert not np.array_equal(chosen(1), chosen(2))
    assert not np.array_equal(chosen(1), chosen(1, 'stratified'))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'split': 'val'}, "split must be one of train, test, but got 'val'"),
        ({'image_size': 28}, 'image_size must be 16 or 32, but got 28'),
        ({'data_ratio': 0}, 'data_ratio'),
        ({'data_ratio': True}, 'data_ratio'),
        ({'data_ratio': 1e-6}, 'data_ratio=1e-06 leaves none'),
        ({'subset': 'last'}, 'subset'),
        ({'subset_seed': -1}, 'subset_seed'),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Digits(**arguments)


def test_name_tells_the_subset():
    assert Digits(split='test', image_size=16).name == 'Digits test'
    assert Digits(data_ratio=0.1, image_size=16).name == 'Digits train first 0.1'
    other = Digits(data_ratio=0.1, subset='random', subset_seed=3, image_size=16)
    assert other.name == 'Digits train random 0.1 seed 3'
