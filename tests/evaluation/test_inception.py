import hashlib

import pytest
import torch
from local_server import serving
from mmagic.evaluation.functional import load_inception
from pytorch_fid import inception as fid_inception
from random_inception import (
    pytorch_fid_net,
    random_inception_file,
    save_random_jit,
    smooth_images,
)
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation import build_extractor, inception
from rggan_mm.evaluation.inception import PUBLISHED_SHA256, InceptionExtractor


@pytest.fixture(scope='session')
def weights(tmp_path_factory):
    return random_inception_file(tmp_path_factory)


@pytest.fixture(scope='module')
def state(weights):
    return torch.load(weights, weights_only=True)


@pytest.fixture(scope='module')
def net(weights):
    return InceptionExtractor(weights)


@pytest.fixture(scope='module')
def pictures():
    images = torch.cat([smooth_images(3, 4, seed=3), smooth_images(2, 32, seed=4)])
    return (images * 255).round() / 255


@pytest.fixture(scope='module')
def features(net, pictures):
    return net(pictures)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(*args, **kwargs):
    """What the one-line error says."""
    with pytest.raises(ConfigError) as caught:
        InceptionExtractor(*args, **kwargs)
    message = str(caught.value)
    assert '\n' not in message
    return message


def close(first, second):
    """Equal to the rounding of some hundred float32 layers of random weights."""
    scale = second.square().mean().sqrt()
    return first.shape == second.shape and (first - second).abs().max() < 2e-3 * scale


def test_features_are_those_of_pytorch_fid(state, pictures, features):
    with torch.no_grad():
        theirs = pytorch_fid_net(state)(pictures)[0].flatten(1)
    assert features.shape == (5, 2048)
    assert close(features, theirs)
    assert theirs.std(0).mean() > 0.2 * theirs.square().mean().sqrt()  # they are not all alike


def test_chunks_do_not_matter(net, pictures, features, monkeypatch):
    monkeypatch.setattr(inception, 'CPU_CHUNK', 2)
    assert close(net(pictures), features)
    assert net(pictures[:0]).shape == (0, 2048)


@torch.no_grad()
def test_images_pass_through_eight_bits(net, pictures, features):
    generator = torch.Generator().manual_seed(0)
    shift = torch.rand(pictures.shape, generator=generator) - 0.5
    between = pictures[:1] + shift[:1] * 0.98 / 255
    assert torch.equal(net(between), net(pictures[:1]))
    assert not close(net(pictures[:1] + 2 * shift[:1].sign() / 255), features[:1])
    beyond = torch.where(pictures[:1] > 0.5, 1.0, 0.0)
    assert torch.equal(net(beyond * 3 - 1), net(beyond))


def test_class_scores_are_without_bias_unless_asked_for(net, state, features, monkeypatch):
    unbiased = features @ state['fc.weight'].T
    assert net.classify(features).shape == (5, 1008)
    assert close(net.classify(features), unbiased)
    assert close(net.classify(features.double()), unbiased)
    monkeypatch.setattr(net, 'logit_bias', True)
    assert close(net.classify(features), unbiased + state['fc.bias'])
    assert not close(net.classify(features), unbiased)


def test_mixed_precision_changes_nothing(net, pictures, features):
    scores = net.classify(features)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(net(pictures), features)
        assert torch.equal(net.classify(features), scores)


def test_stays_frozen_and_in_evaluation_mode(net, features):
    nn.Sequential(net).train()
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not features.requires_grad


def test_building_leaves_random_stream_and_pytorch_fid_alone(weights):
    before, download = torch.get_rng_state(), fid_inception.load_state_dict_from_url
    built = build_extractor({'type': 'InceptionExtractor', 'weights': str(weights)})
    assert isinstance(built, InceptionExtractor)
    assert torch.equal(torch.get_rng_state(), before)
    assert fid_inception.load_state_dict_from_url is download


def test_only_the_published_file_has_the_published_name(weights, net, monkeypatch):
    found = sha256(weights)
    assert net.name == f'inception-{found[:8]}'
    assert (net.short_name, net.resize) == ('inception', 'bilinear 299')
    monkeypatch.setattr(inception, 'PUBLISHED_SHA256', found)
    assert InceptionExtractor(weights, found[:8].upper()).name == 'inception-2015-12-05'


def test_published_hash_is_the_one_in_the_name_of_the_file():
    assert len(PUBLISHED_SHA256) == 64
    assert fid_inception.FID_WEIGHTS_URL.endswith(f'-{PUBLISHED_SHA256[:8]}.pth')


@pytest.mark.parametrize('path', ['no/such/file.pth', '', '.', 3])
def test_missing_file_is_refused(path):
    assert f'there is no file {str(path)!r}' in refusal(path)


@pytest.mark.parametrize('digits', ['1234567', 'published', '0' * 65, '', 12345678.5])
def test_bad_hash_is_refused(digits, weights):
    for arguments in ((weights, digits), (None, digits)):
        assert f'sha256 must be 8 to 64 hexadecimal digits, but got {digits!r}' in refusal(
            *arguments
        )


def test_file_with_another_hash_is_refused(weights):
    message = refusal(weights, '0123456789')
    assert f'weights {weights} have sha256 {sha256(weights)}, not 0123456789' in message


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / 'linear.pth'
    torch.save(nn.Linear(2, 2).state_dict(), path)
    message = refusal(path)
    assert f'weights {path} are not those of the FID Inception network: ' in message
    assert 'Missing key(s)' in message
    assert len(message) < 400


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:.*torch.jit.load:FutureWarning')
def test_torchscript_twin_for_mmagic_gives_the_same_numbers(net, pictures, features, tmp_path):
    path = save_random_jit(tmp_path / 'random.pt')
    twin, style = load_inception({'type': 'StyleGAN', 'inception_path': str(path)}, 'FID')
    bytes_ = (pictures * 255).round().to(torch.uint8)
    assert style == 'StyleGAN'
    with torch.no_grad():
        assert close(twin(bytes_, return_features=True), features)
        probabilities = twin(bytes_, no_output_bias=True)
    assert torch.allclose(probabilities, net.classify(features).softmax(1), atol=1e-3)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch.hub's folder, empty."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    return tmp_path / 'hub' / 'checkpoints'


def test_published_file_is_downloaded_once_and_checked(weights, hub, monkeypatch):
    monkeypatch.setenv('no_proxy', '*')
    with serving(weights.parent) as (address, requests):
        arguments = {'url': f'{address}/{weights.name}', 'sha256': sha256(weights)[:8]}
        for _ in range(2):
            assert InceptionExtractor(**arguments).name == f'inception-{sha256(weights)[:8]}'
    assert requests == [f'/{weights.name}']
    assert sha256(hub / weights.name) == sha256(weights)


def test_no_network_says_where_to_put_what(hub, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError('Network is unreachable')

    monkeypatch.setattr(torch.hub, 'urlopen', no_network)
    with pytest.raises(ConfigError) as caught:
        build_extractor('inception')
    url = fid_inception.FID_WEIGHTS_URL
    place = hub / 'pt_inception-2015-12-05-6726825d.pth'
    assert str(caught.value) == (
        f'weights {place.name} of {url}: cannot download it (Network is unreachable); put the '
        f"published file at {place}, or name another with weights=FILE in the extractor's "
        'config (tools/evaluate.py: --weights FILE)'
    )
