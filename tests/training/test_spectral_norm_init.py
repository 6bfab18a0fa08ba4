import logging

import pytest
import torch
from families import family_config
from mmagic.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

from rggan_mm.compat import spectral_norm_init

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
MOVES = {
    'type': lambda model: model.double(),
    'memory format': lambda model: model.to(memory_format=torch.channels_last),
    'device': lambda model: model.cuda(),
}
MOVED = [pytest.param(MOVES[n], id=n, marks=[needs_gpu] if n == 'device' else []) for n in MOVES]
CONFIGURED = 0.02  # of BigGAN for CIFAR-10: init_cfg=dict(type='N02')


@pytest.fixture
def model(tmp_path):
    """A new BigGAN, and nothing in the log."""
    config = family_config('biggan_cifar10', tmp_path, log_level='ERROR')
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    return MODELS.build(dict(config.model, _scope_='mmagic'))


@pytest.fixture
def without_the_repair(monkeypatch):
    monkeypatch.setattr(BaseModule, 'init_weights', BaseModule.init_weights.__wrapped__)


def spread(network):
    """Standard deviation of all stored weights under spectral norm."""
    stored = [p.flatten() for name, p in network.named_parameters() if name.endswith('weight_orig')]
    assert len(stored) > 10
    return torch.cat(stored).std().item()


@pytest.mark.usefixtures('without_the_repair')
@pytest.mark.parametrize('move', MOVED)
def test_without_the_repair_a_moved_model_keeps_the_weights_of_pytorch(model, move):
    move(model).init_weights()
    assert spread(model.generator) > 5 * CONFIGURED


@pytest.mark.parametrize('move', MOVED)
@pytest.mark.parametrize('network', ['generator', 'discriminator'])
def test_a_moved_model_starts_from_the_configured_weights(model, move, network):
    move(model).init_weights()
    assert spread(getattr(model, network)) == pytest.approx(CONFIGURED, rel=0.1)


def test_a_model_that_was_not_moved_starts_as_before(model, tmp_path, monkeypatch):
    with monkeypatch.context() as stock:
        stock.setattr(BaseModule, 'init_weights', BaseModule.init_weights.__wrapped__)
        torch.manual_seed(0)
        model.init_weights()
    config = family_config('biggan_cifar10', tmp_path)
    again = MODELS.build(dict(config.model, _scope_='mmagic'))
    again.load_state_dict(model.state_dict())
    torch.manual_seed(0)
    again.init_weights()
    for name, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_an_initialised_model_computes_with_its_weights_and_trains_them(model):
    model.double().init_weights()
    layer = model.discriminator.decision
    stored, other = layer.weight_orig, torch.ones(3, layer.in_features).double()
    out = layer(other)
    sigma = torch.linalg.matrix_norm(stored, 2)
    assert torch.allclose(out, other @ (stored / sigma).T + layer.bias)
    out.sum().backward()
    assert stored.grad.abs().sum() > 0


def test_weights_of_another_name_are_tied_too():
    model = BaseModule()
    model.layer = nn.utils.spectral_norm(nn.LSTMCell(2, 2), name='weight_hh')
    model._params_init_info = {}  # as below another model: nothing is logged
    model.double().init_weights()
    model.layer.weight_hh.fill_(3.0)
    assert (model.layer.weight_hh_orig == 3).all()


def test_the_probe_takes_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert not spectral_norm_init._loses_weights()
    assert torch.equal(torch.rand(1), expected)


def test_a_model_that_keeps_its_weights_together_is_left_alone():
    before = BaseModule.init_weights
    assert not spectral_norm_init.initialise_under_spectral_norm().closed
    assert BaseModule.init_weights is before
