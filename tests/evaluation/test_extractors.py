import hashlib
from functools import cache

import pytest
import torch
from mmagic.registry import MODELS
from torch import nn

from rggan_mm.datasets import Digits
from rggan_mm.errors import ConfigError
from rggan_mm.evaluation import FeatureMoments, build_extractor, frechet_distance
from rggan_mm.evaluation.digits_net import WEIGHTS, WEIGHTS_SHA256, load_digits_net
from rggan_mm.evaluation.extractors import extractor_name, short_name


@MODELS.register_module()
class FlatFeatures(nn.Module):
    def forward(self, images):
        return images.flatten(1)


@cache
def digits(split, size):
    data = Digits(split=split, image_size=size)
    items = [data.get_data_info(index) for index in range(len(data))]
    images = torch.stack([torch.from_numpy(item['gt']) for item in items]).permute(0, 3, 1, 2)
    return images / 255, torch.tensor([item['gt_label'] for item in items])


@pytest.fixture(scope='module')
def net():
    return build_extractor('digits')


@torch.no_grad()
def distance(net, first, second):
    moments = []
    for images in (first, second):
        sums = FeatureMoments(64)
        sums.update(net(images))
        moments += sums.mean_cov()
    return frechet_distance(*moments)


def test_shipped_weights_are_small_and_the_published_ones():
    content = WEIGHTS.read_bytes()
    assert len(content) < 2**20
    assert hashlib.sha256(content).hexdigest() == WEIGHTS_SHA256


@pytest.mark.parametrize('size', [16, 32])
@torch.no_grad()
def test_digits_net_recognises_test_digits(net, size):
    images, labels = digits('test', size)
    assert (net.logits(images).argmax(1) == labels).float().mean() >= 0.98


@pytest.mark.parametrize('size', [16, 32])
@torch.no_grad()
def test_features_are_compact_and_on_one_scale(net, size):
    features = net(digits('train', size)[0])
    assert features.shape == (1437, 64)
    assert torch.allclose(features.mean(0), torch.zeros(64), atol=0.1)
    assert torch.allclose(features.std(0), torch.ones(64), atol=0.05)


@pytest.mark.parametrize('size', [16, 32])
def test_distance_grows_with_damage(net, size):
    train, labels = digits('train', size)
    test, _ = digits('test', size)
    noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(0))
    noisy = [distance(net, (train + s * noise).clamp(0, 1), test) for s in (0, 0.15, 0.4)]
    assert noisy == sorted(noisy)
    assert noisy[0] < 1
    assert distance(net, train[labels == 3], test) > 20
    red = train * torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    assert distance(net, red, test) > 5
    assert distance(net, noise.clamp(0, 1), test) > 50


def test_wrong_or_missing_weights_are_refused(tmp_path):
    other = tmp_path / 'digits_v1.pth'
    with pytest.raises(ConfigError, match='missing'):
        load_digits_net(other)
    other.write_bytes(WEIGHTS.read_bytes() + b'0')
    with pytest.raises(ConfigError, match='sha256'):
        load_digits_net(other)


def test_built_extractors_are_frozen_and_in_evaluation_mode(net):
    own = build_extractor(nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    for extractor in (net, own):
        assert not any(module.training for module in extractor.modules())
        assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_names(net):
    own = build_extractor({'type': 'FlatFeatures'})
    assert isinstance(own, FlatFeatures)
    assert (extractor_name(own), short_name(own)) == ('FlatFeatures', 'FlatFeatures')
    assert (extractor_name(net), short_name(net)) == ('digits-v1', 'digits')
    own.name = 'faces-v12'
    assert short_name(own) == 'faces'


@pytest.mark.parametrize('extractor', ['inception', '', None, 3, ['digits']])
def test_unknown_extractor_lists_the_known(extractor):
    with pytest.raises(ConfigError, match='extractor must be one of digits'):
        build_extractor(extractor)
