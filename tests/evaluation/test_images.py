import pytest
import torch
from mmagic.datasets.transforms import PackInputs
from mmagic.models import DataPreprocessor
from torch.utils.data import DataLoader

from rggan_mm.datasets import Digits
from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.images import real_batches, to_rgb01


def loader(pipeline=None, **arguments):
    data = Digits(split='test', image_size=16, pipeline=pipeline or [PackInputs()])
    return DataLoader(data, batch_size=4, **arguments)


def test_reals_come_back_as_they_are_each_once():
    source = loader(shuffle=True)
    batches = list(real_batches(DataPreprocessor(), source, range(1, 360, 36)))
    images = torch.cat([images for images, _ in batches])
    expected = torch.stack(
        [source.dataset[index]['data_samples'].gt_img for index in range(1, 360, 36)]
    )
    assert len(images) == 10
    assert torch.allclose(images, expected.float(), atol=1e-3)


def test_reading_leaves_the_random_stream_alone():
    torch.manual_seed(0)
    list(real_batches(DataPreprocessor(), loader(), range(4)))
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.parametrize(('order', 'found'), [(None, 'RGB'), ('RGB', 'RGB'), ('BGR', 'BGR')])
def test_order_is_that_of_the_model(order, found):
    preprocessor = DataPreprocessor(output_channel_order=order)
    assert {order for _, order in real_batches(preprocessor, loader(), range(6))} == {found}


def test_items_without_image_are_refused():
    def without_image(results):
        return PackInputs()({'gt_label': results['gt_label']})

    with pytest.raises(ConfigError, match='PackInputs'):
        list(real_batches(DataPreprocessor(), loader([without_image]), range(2)))


def test_to_rgb01():
    bgr = torch.tensor([255.0, 51.0, 0.0]).view(1, 3, 1, 1)
    assert torch.allclose(to_rgb01(bgr, 'BGR').flatten(), torch.tensor([0.0, 0.2, 1.0]))
    assert torch.allclose(to_rgb01(bgr, 'RGB').flatten(), torch.tensor([1.0, 0.2, 0.0]))
    assert to_rgb01(torch.zeros(2, 1, 4, 4, dtype=torch.float16), 'single').shape == (2, 3, 4, 4)
