"""Exported files in every family: stock networks make the evaluated images of them."""

import pytest
import torch
from exporting import Evaluated
from family_walk import TRAINABLE, family_params
from safetensors.torch import load_file

from rggan_mm.errors import ConfigError
from rggan_mm.export.packed import load_packed
from rggan_mm.export.stock_weights import fold_away, plain_state
from rggan_mm.export.weight_files import save_packed, save_pth, save_safetensors

# What they multiply with cannot be made out of a stored weight with zeros.
REFUSED = {'pggan': 'ConvTranspose2d', 'biggan_ajbrock': 'SNLinear'}
FOLDED = [name for name in TRAINABLE if name not in REFUSED]
REPRESENTATIVE = ('sngan_proj', 'sagan', 'stylegan2', 'cyclegan')
TOLERANCE = 1e-6


def parts(network, name, calls):
    """The networks that were called, of one network or of a dict of them."""
    if name in calls:
        yield name, network
    for key, member in network.items() if isinstance(network, torch.nn.ModuleDict) else ():
        if f'{name}.{key}' in calls:
            yield f'{name}.{key}', member


@pytest.mark.parametrize('name', family_params(FOLDED, REPRESENTATIVE))
def test_exported_files_make_the_evaluated_images(tmp_path, name):
    evaluated = Evaluated(name, tmp_path)
    trained = evaluated.trained()
    chosen = trained.choose()
    fold_away({chosen: trained.sparse()[chosen]})
    state = plain_state(trained.networks()[chosen].state_dict())
    save_pth(tmp_path / 'pth', state)
    save_safetensors(tmp_path / 'safe', state)
    save_packed(tmp_path / 'packed', state, {})
    files = {
        'pth': torch.load(tmp_path / 'pth', weights_only=True),
        'safetensors': load_file(tmp_path / 'safe'),
        'packed': load_packed(tmp_path / 'packed'),
    }
    for found in files.values():
        network = evaluated.stock(chosen)
        network.load_state_dict(found)
        called = list(parts(network, chosen, evaluated.calls))
        assert called
        for part, member in called:
            assert evaluated.difference(part, member) <= TOLERANCE


@pytest.mark.parametrize('name', family_params(REFUSED, ()))
def test_what_cannot_be_folded_is_refused_by_name(tmp_path, name):
    trained = Evaluated(name, tmp_path).trained()
    with pytest.raises(ConfigError, match=rf'generator_ema: fold: \S+ \({REFUSED[name]}\)'):
        fold_away({'generator_ema': trained.sparse()['generator_ema']})
