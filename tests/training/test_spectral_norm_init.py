import logging

import pytest
import torch
from families import family_config
from mmagic.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

from rggan_mm.training.runner import SafeRunner, tie_spectral_norms

MOVES = {
    'type': lambda model: model.double(),
    'memory format': lambda model: model.to(memory_format=torch.channels_last),
    'device': lambda model: model.cuda(),
}
MOVED = [
    pytest.param(MOVES[n], id=n, marks=[pytest.mark.gpu] if n == 'device' else []) for n in MOVES
]
CONFIGURED = 0.02  # of BigGAN for CIFAR-10: init_cfg=dict(type='N02')


@pytest.fixture
def model(tmp_path):
    """A new BigGAN, and nothing in the log."""
    config = family_config('biggan_cifar10', tmp_path, log_level='ERROR')
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    return MODELS.build(dict(config.model, _scope_='mmagic'))


def spread(network):
    """Standard deviation of all stored weights under spectral norm."""
    stored = [p.flatten() for name, p in network.named_parameters() if name.endswith('weight_orig')]
    assert len(stored) > 10
    return torch.cat(stored).std().item()


def initialise(model):
    """Initialises weights as SafeRunner does."""
    tie_spectral_norms(model)
    model.init_weights()


def test_mmengine_leaves_a_moved_model_with_the_weights_of_pytorch(model):
    model.double().init_weights()
    assert spread(model.generator) > 5 * CONFIGURED


def test_the_runner_initialises_a_moved_model(tmp_path):
    runner = SafeRunner.from_cfg(family_config('biggan_cifar10', tmp_path, log_level='ERROR'))
    runner.model.double()
    runner._init_model_weights()
    assert spread(runner.model.generator) == pytest.approx(CONFIGURED, rel=0.1)


@pytest.mark.parametrize('move', MOVED)
@pytest.mark.parametrize('network', ['generator', 'discriminator'])
def test_a_moved_model_starts_from_the_configured_weights(model, move, network):
    initialise(move(model))
    assert spread(getattr(model, network)) == pytest.approx(CONFIGURED, rel=0.1)


def test_a_model_that_was_not_moved_starts_as_before(model, tmp_path):
    config = family_config('biggan_cifar10', tmp_path)
    again = MODELS.build(dict(config.model, _scope_='mmagic'))
    again.load_state_dict(model.state_dict())
    torch.manual_seed(0)
    model.init_weights()
    torch.manual_seed(0)
    initialise(again)
    for name, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_an_initialised_model_computes_with_its_weights_and_trains_them(model):
    initialise(model.double())
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
    initialise(model.double())
    model.layer.weight_hh.fill_(3.0)
    assert (model.layer.weight_hh_orig == 3).all()
