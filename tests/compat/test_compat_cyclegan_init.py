import logging
import sys
from importlib import import_module

import pytest
import torch
from mmagic.models.archs import PatchDiscriminator
from mmagic.models.utils import generation_init_weights
from mmengine.logging import MMLogger
from torch import nn
from translation import cyclegan, pix2pix

from rggan_mm.compat import initialisation

stock = generation_init_weights.__wrapped__
MODELS = pytest.mark.parametrize('build', [cyclegan, pix2pix])


@pytest.fixture
def without_the_repair(monkeypatch):
    for module in initialisation.USERS:
        monkeypatch.setattr(import_module(module), 'generation_init_weights', stock)


@MODELS
@pytest.mark.usefixtures('without_the_repair')
def test_without_the_repair_a_variable_is_unbound(build):
    with pytest.raises(UnboundLocalError, match='init_info'):
        build().init_weights()


@MODELS
def test_the_weights_are_drawn_as_upstream_draws_them(build):
    model, ours = build(), build()
    ours.load_state_dict(model.state_dict())  # layers that are not drawn anew keep their values
    torch.manual_seed(0)
    ours.init_weights()
    torch.manual_seed(0)
    # Without MMEngine's record the original function does its work.
    for domain in model.generators:
        stock(model.generators[domain])
        stock(model.discriminators[domain])
    drawn = 0
    for (name, mine), theirs in zip(ours.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs), name
        if mine.ndim == 4 and mine.numel() > 100:
            assert 0.015 < mine.std() < 0.025, name
            drawn += 1
    assert drawn > 5


@pytest.mark.parametrize('init_type', ['normal', 'xavier', 'kaiming'])
def test_a_module_on_its_own_gets_the_same_numbers(init_type):
    ours, theirs = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    torch.manual_seed(0)
    generation_init_weights(ours, init_type, init_gain=0.1)
    torch.manual_seed(0)
    stock(theirs, init_type, init_gain=0.1)
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)


@MODELS
def test_the_log_says_who_initialised_what(build):
    logger = MMLogger.get_instance(f'init_{build.__name__}')
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger.addHandler(handler)
    model = build()
    model.init_weights()
    text = '\n'.join(records)
    for name, parameter in model.named_parameters():
        where = text.index(f'{name} - {parameter.shape}')
        line = text[where:].split('\n')[1]
        if parameter.ndim == 4:
            assert 'normal initialisation with gain 0.02' in line, name
    assert 'Initialized by PatchDiscriminator' in text
    assert not any(hasattr(module, '_params_init_info') for module in model.modules())


def test_a_record_of_a_whole_model_reaches_the_network_and_stays():
    network = PatchDiscriminator(3, base_channels=4, num_conv=1, norm_cfg=dict(type='BN'))
    record = {p: {'init_info': '', 'tmp_mean_value': p.data.mean()} for p in network.parameters()}
    for module in network.modules():
        module._params_init_info = record
    network.init_weights()
    assert all(module._params_init_info is record for module in network.modules())
    for parameter in network.parameters():
        if parameter.ndim == 4:
            assert 'PatchDiscriminator' in record[parameter]['init_info']


def test_an_error_leaves_the_record_where_it_was():
    layer = nn.Conv2d(1, 1, 1)
    layer._params_init_info = record = {}
    with pytest.raises(NotImplementedError, match='unknown'):
        generation_init_weights(layer, init_type='unknown')
    assert layer._params_init_info is record


def test_every_module_that_holds_the_function_holds_one_repaired_one():
    holders = {
        name: vars(module)['generation_init_weights']
        for name, module in sys.modules.items()
        if name.startswith('mmagic.') and 'generation_init_weights' in vars(module)
    }
    assert holders.keys() == set(initialisation.USERS)
    assert set(holders.values()) == {generation_init_weights}
