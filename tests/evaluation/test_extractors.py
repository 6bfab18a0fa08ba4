import hashlib
import re
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmagic.registry import MODELS
from torch import nn

from rggan_mm.datasets import Digits
from rggan_mm.errors import ConfigError
from rggan_mm.evaluation import FeatureMoments, build_extractor, frechet_distance
from rggan_mm.evaluation.digits_net import WEIGHTS, WEIGHTS_SHA256, load_digits_net
from rggan_mm.evaluation.extractors import (
    can_classify,
    check_features,
    extractor_name,
    resize_name,
    short_name,
    weights_hash,
)


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
    assert (resize_name(own), resize_name(net)) == ('none', 'bilinear antialias 16')
    own.name = 'faces-v12'
    assert short_name(own) == 'faces'
    own.short_name = 'portraits'
    assert short_name(own) == 'portraits'


@given(st.text(min_size=1))
def test_short_name_is_usable_in_a_key(name):
    own = FlatFeatures()
    own.name = name
    assert re.fullmatch(r'[\w.+-]+', short_name(own))


def test_method_of_that_name_is_no_name():
    class Resizing(FlatFeatures):
        def resize(self, images):
            return images

    assert resize_name(Resizing()) == 'none'


@torch.no_grad()
def test_class_scores_of_digits_come_from_the_features(net):
    images, _ = digits('test', 16)
    assert can_classify(net)
    assert not can_classify(FlatFeatures())
    assert torch.equal(net.classify(net(images)), net.logits(images))


def small():
    """An extractor with floating and integer values."""
    torch.manual_seed(0)
    own = nn.Sequential(nn.Conv2d(3, 2, 2), nn.BatchNorm2d(2), nn.Flatten())
    own.name = 'own-v1'
    return own


def test_hash_is_the_same_for_the_same_extractor():
    first = weights_hash(small())
    assert re.fullmatch('[0-9a-f]{64}', first)
    assert weights_hash(small()) == first
    assert weights_hash(small().to(memory_format=torch.channels_last)) == first
    assert weights_hash(small().eval().requires_grad_(False)) == first


class Renamed(nn.Sequential):
    pass


def moved(own):
    own[0].weight.data[0, 0, 0, 0] += 1e-6


def counted(own):
    own[1].num_batches_tracked += 1


def reshaped(own):
    own[0].weight.data = own[0].weight.data.view(2, 2, 3, 2)


def strided(own):
    own[0].stride = (2, 2)


@pytest.mark.parametrize(
    'change',
    [
        moved,
        counted,
        reshaped,
        strided,
        nn.Module.double,
        nn.Module.bfloat16,
        lambda own: setattr(own, 'name', 'own-v2'),
        lambda own: setattr(own, 'resize', 'bilinear 8'),
        lambda own: setattr(own, '__class__', Renamed),
    ],
)
def test_hash_differs_with_anything_that_makes_features(change):
    own = small()
    change(own)
    assert weights_hash(own) != weights_hash(small())


class Extra(nn.Identity):
    value = 1

    def get_extra_state(self):
        return self.value


def test_hash_covers_state_that_is_no_tensor():
    changed = Extra()
    changed.value = 2
    assert weights_hash(changed) != weights_hash(Extra())


@pytest.mark.parametrize('shape', [(0, 5), (3, 1), (4, 7)])
def test_rows_of_features_are_taken(shape):
    features = torch.zeros(shape, dtype=torch.float16)
    assert check_features(features, torch.zeros(shape[0], 3, 8, 8), FlatFeatures()) is features


@pytest.mark.parametrize(
    ('features', 'found'),
    [
        (torch.zeros(4, 5, 1, 1), 'torch.float32 of shape (4, 5, 1, 1)'),
        (torch.zeros(4), 'torch.float32 of shape (4,)'),
        (torch.zeros(5, 4), 'torch.float32 of shape (5, 4)'),
        (torch.zeros(4, 5, dtype=torch.int64), 'torch.int64 of shape (4, 5)'),
        ([torch.zeros(4, 5)], 'list'),
        (None, 'NoneType'),
    ],
)
def test_other_outputs_are_refused(features, found):
    with pytest.raises(ConfigError) as caught:
        check_features(features, torch.zeros(4, 3, 8, 8), FlatFeatures())
    assert str(caught.value) == (
        'extractor FlatFeatures must give floating features of shape (N, D), N=4 for these '
        f'images, but gave {found}'
    )


@pytest.mark.parametrize('extractor', ['Inception', '', None, 3, ['digits']])
def test_unknown_extractor_lists_the_known(extractor):
    with pytest.raises(
        ConfigError, match='extractor must be one of digits, efficientnet, inception, a MODELS'
    ):
        build_extractor(extractor)
