"""MMagic's inference API with sparse checkpoints."""

import sys
from importlib import import_module

import pytest
import torch
from tiny import tiny_config, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.hooks.discovery import sparse_networks


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A model with masked weights, and its checkpoint."""
    folder = tmp_path_factory.mktemp('trained')
    options = {'train_cfg.max_iters': 1, 'rg_hooks.pruning.lam': 1e-6}
    runner = tiny_runner(folder, **options)
    runner.train()
    for network in sparse_networks(runner.model).values():
        for threshold in network.thresholds.values():
            threshold.data.fill_(0.05)
    runner.save_checkpoint(str(folder), 'sparse.pth', save_param_scheduler=False)
    return runner.model, str(folder / 'sparse.pth')


def images_of(model, average):
    with torch.no_grad():
        samples = model.eval()(
            {'noise': torch.ones(2, model.noise_size), 'sample_model': 'ema' if average else 'orig'}
        )
    return torch.stack([sample.fake_img for sample in samples]).float()


@pytest.mark.slow
@pytest.mark.parametrize('average', [True, False])
def test_init_model_computes_as_the_run_did(trained, tmp_path, average):
    model, checkpoint = trained
    built = import_module('mmagic.apis').init_model(tiny_config(tmp_path), checkpoint, 'cpu')
    assert set(sparse_networks(built)) == set(sparse_networks(model))
    wanted = images_of(model, average)
    torch.testing.assert_close(images_of(built, average), wanted, rtol=0, atol=0.01)
    assert 0 < sparse_networks(built)['generator'].keep_ratio() < 1 or average
    sparse = sparse_networks(model)
    for network in sparse.values():
        network.set_phase(False)
    assert (images_of(model, average) - wanted).abs().max() > 1
    for network in sparse.values():
        network.set_phase(True)


@pytest.mark.slow
def test_the_inferencer_too(trained, tmp_path):
    _, checkpoint = trained
    config = tmp_path / 'config.py'
    tiny_config(tmp_path).dump(config)
    inferencer = import_module('mmagic.apis').MMagicInferencer(
        'ggan', model_config=str(config), model_ckpt=checkpoint, device='cpu'
    )
    inferencer.infer(result_out_dir=str(tmp_path / 'out' / 'images.png'))
    assert (tmp_path / 'out' / 'images.png').is_file()
    assert sparse_networks(inferencer.inferencer.inferencer.model)['generator'].keep_ratio() < 1


@pytest.mark.slow
def test_thresholds_of_another_model_are_refused(trained, tmp_path):
    _, path = trained
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['state_dict']['generator.nowhere.threshold'] = torch.zeros(1)
    torch.save(checkpoint, tmp_path / 'other.pth')
    init_model = import_module('mmagic.apis').init_model
    with pytest.raises(ConfigError, match=r'generator\.nowhere\.threshold belongs to no layer'):
        init_model(tiny_config(tmp_path), str(tmp_path / 'other.pth'), 'cpu')


@pytest.mark.slow
def test_nothing_stands_in_for_a_package_afterwards():
    import_module('mmagic.apis')
    module = sys.modules.get('controlnet_aux')
    assert module is None or module.__spec__ is not None
