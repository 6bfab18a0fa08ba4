"""tools/export.py: the files that it writes and what it says."""

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from exporting import train_half
from PIL import Image
from safetensors import safe_open
from tiny import ROOT, tiny_config
from tool_modules import load_command

from rggan_mm.analysis.model_building import build_model
from rggan_mm.export.packed import load_packed
from rggan_mm.export.sampling import open_generator
from rggan_mm.hooks.discovery import sparse_networks

tool = load_command('export')
BLOCKED = ('mmengine', 'mmcv', 'mmagic', 'torch', 'rggan_mm')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A model in a sparse phase with its config and checkpoint."""
    folder = tmp_path_factory.mktemp('trained')
    return train_half(folder).model.eval(), folder


@pytest.fixture
def run(monkeypatch, capsys, trained):
    """Exit status, output and errors of a command line; the config and checkpoint come first."""

    def run(*arguments, config='config.py', checkpoint='sparse.pth'):
        files = [trained[1] / config, trained[1] / checkpoint]
        monkeypatch.setattr('sys.argv', ['export.py', *map(str, [*files, *arguments])])
        return tool.main(), *capsys.readouterr()

    return run


def images(network, size):
    noise = torch.randn(4, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network(noise)


def test_the_averaged_generator_is_the_default_and_others_can_be_named(run, trained, tmp_path):
    model, folder = trained
    for name in ('generator_ema', 'generator'):
        arguments = [] if name == 'generator_ema' else ['--network', name]
        assert run('-o', tmp_path / 'g.pth', *arguments)[0] == 0
        network = build_model(tiny_config(folder)).generator.eval()
        network.load_state_dict(torch.load(tmp_path / 'g.pth', weights_only=True))
        wanted = images(getattr(model, name), model.noise_size)
        torch.testing.assert_close(images(network, model.noise_size), wanted, rtol=0, atol=1e-6)


def test_the_whole_model(run, trained, tmp_path):
    model, folder = trained
    assert run('-o', tmp_path / 'model.pth', '--all')[0] == 0
    stock = build_model(tiny_config(folder)).eval()
    stock.load_state_dict(torch.load(tmp_path / 'model.pth', weights_only=True))
    for name in ('generator', 'generator_ema'):
        found, wanted = (images(getattr(m, name), model.noise_size) for m in (stock, model))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    with torch.no_grad():
        x = images(model.generator, model.noise_size)
        found, wanted = stock.discriminator(x), model.discriminator(x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_dense_phase_is_exported_dense(run, trained, tmp_path):
    _, folder = trained
    checkpoint = torch.load(folder / 'sparse.pth', weights_only=False)
    state = checkpoint['state_dict']
    state['generator_ema.module.sparse_phase'] = torch.tensor(0)
    torch.save(checkpoint, folder / 'dense_phase.pth')
    assert run('-o', tmp_path / 'g.pth', checkpoint='dense_phase.pth')[0] == 0
    exported = torch.load(tmp_path / 'g.pth', weights_only=True)
    assert all(torch.equal(v, state[f'generator_ema.module.{k}']) for k, v in exported.items())


def test_safetensors_says_what_it_is(run, trained, tmp_path):
    assert run('-o', tmp_path / 'g.safetensors')[0] == 0
    with safe_open(tmp_path / 'g.safetensors', 'pt') as file:
        metadata = file.metadata()
    network = sparse_networks(trained[0])['generator_ema']
    images(network.network, trained[0].noise_size)
    ratio = json.loads(metadata['keep_ratio'])['generator_ema']
    assert ratio == pytest.approx(network.keep_ratio(), abs=1e-5)
    assert json.loads(metadata['phase']) == {'generator_ema': 'sparse'}
    saved = torch.load(trained[1] / 'sparse.pth', weights_only=False)['meta']
    assert metadata['network'] == 'generator_ema'
    assert metadata['iteration'] == str(saved['iter'])
    assert json.loads(metadata['evaluation'])['digits/n_fake'] == 20
    assert 'DynamicPruningHook' in metadata['config']


def test_packed_and_half(run, tmp_path):
    assert run('-o', tmp_path / 'g.pth')[0] == 0
    assert run('-o', tmp_path / 'g.packed', '--format', 'packed')[0] == 0
    assert run('-o', tmp_path / 'half.packed', '--format', 'packed', '--half')[0] == 0
    wanted = torch.load(tmp_path / 'g.pth', weights_only=True)
    found, half = (load_packed(tmp_path / name) for name in ('g.packed', 'half.packed'))
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert all(half[name].allclose(value, rtol=1e-3) for name, value in wanted.items())


def test_the_table_counts_parameters_bytes_and_multiplications(run, trained, tmp_path):
    model, _ = trained
    status, text, _ = run('-o', tmp_path / 'g.pth', '--json')
    assert status == 0
    said = json.loads(text)
    (row,) = said['networks']
    network = sparse_networks(model)['generator_ema']
    images(network.network, model.noise_size)
    stock = build_model(tiny_config(tmp_path)).generator
    assert row['parameters'] == sum(value.numel() for value in stock.parameters())
    assert row['kept'] == row['parameters'] - network.pruned_count()
    assert said['bytes'] == (tmp_path / 'g.pth').stat().st_size
    assert 0 <= said['difference'] <= 1e-6
    assert row['bytes']['packed, half'] < row['bytes']['packed'] < row['bytes']['safetensors']
    # Half of each layer's weights are pruned, and nothing else multiplies.
    assert row['macs_sparse'] == pytest.approx(row['macs'] / 2, rel=0.01)
    status, text, _ = run('-o', tmp_path / 'g.pth')
    numbers = [row['parameters'], row['kept'], *row['bytes'].values(), row['macs']]
    assert all(f' {number:,} ' in text for number in numbers)


def test_outputs_that_are_no_images_are_compared_relatively(run, tmp_path):
    status, text, _ = run('-o', tmp_path / 'd.pth', '--network', 'discriminator')
    assert status == 0
    assert 'outputs differ by ' in text
    assert text.endswith(' of the largest value\n')
    found, wanted = torch.tensor([[99.0]]), torch.tensor([[100.0]])
    assert tool.apart(found, wanted, images=False) == pytest.approx(0.01)
    assert tool.apart(found, wanted, images=True) == 1
    assert tool.apart(found * 0, found * 0, images=False) == 0


def test_endings_of_pytorch_in_any_case(run, trained, tmp_path):
    assert run('-o', tmp_path / 'g.PT')[0] == 0
    generator = open_generator(tmp_path / 'g.PT', str(trained[1] / 'config.py'))
    noise = torch.randn(1, generator.latents, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted = trained[0].generator_ema(noise)[0]
    torch.testing.assert_close(generator.image(3), wanted, rtol=0, atol=1e-6)


def test_onnx(run, trained, tmp_path):
    model, _ = trained
    assert run('-o', tmp_path / 'g.onnx')[0] == 0
    session = onnxruntime.InferenceSession(tmp_path / 'g.onnx')
    noise = torch.randn(5, model.noise_size)
    (found,) = session.run(None, {'noise': noise.numpy()})
    with torch.no_grad():
        wanted = model.generator_ema(noise)
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=0, atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map['network'] == 'generator_ema'


def test_the_lines_of_the_readme_make_a_grid_without_mmengine(run, tmp_path):
    assert run('-o', tmp_path / 'generator.onnx')[0] == 0
    blocks = (ROOT / 'README.md').read_text(encoding='utf-8').split('```python\n')
    (lines,) = (block.split('```')[0] for block in blocks if 'onnxruntime' in block.split('```')[0])
    code = f'import sys\nfor name in {BLOCKED}: sys.modules[name] = None\n{lines}'
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    grid = np.asarray(Image.open(tmp_path / 'grid.png'))
    size = build_model(tiny_config(tmp_path)).generator.output_scale
    assert grid.shape[:2] == (4 * size, 4 * size)
    assert grid.std() > 1


@pytest.mark.parametrize(
    ('arguments', 'files', 'named'),
    [
        (['--network', 'genrator'], {}, 'generator'),
        ([], {'checkpoint': 'nowhere.pth'}, 'nowhere.pth'),
        ([], {'checkpoint': '.'}, 'is a folder'),
        ([], {'checkpoint': 'cut.pth'}, 'cut.pth'),
        ([], {'checkpoint': 'dense.pth'}, 'dense.pth has no thresholds'),
        ([], {'config': 'other.py'}, 'config that it was trained with'),
        ([], {'config': 'nowhere.py'}, 'nowhere.py'),
        (['--half'], {}, '--half'),
        (['--all', '--format', 'onnx'], {}, '--all'),
        (['-o', 'generator.txt'], {}, 'generator.txt'),
    ],
)
def test_bad_input_is_one_line_and_no_file(run, trained, tmp_path, arguments, files, named):
    _, folder = trained
    whole = (folder / 'sparse.pth').read_bytes()
    (folder / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    torch.save({'state_dict': build_model(tiny_config(folder)).state_dict()}, folder / 'dense.pth')
    tiny_config(folder, model__generator__base_channels=6).dump(folder / 'other.py')
    status, text, error = run('-o', tmp_path / 'g.pth', *arguments, **files)
    assert (status, text, error.count('\n')) == (1, '', 1)
    assert error.startswith('error: ')
    assert named in error
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_one_line(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    status, _, error = run('-o', tmp_path / 'g.safetensors')
    assert (status, error.count('\n')) == (1, 1)
    assert 'pip install safetensors' in error
    status, text, _ = run('-o', tmp_path / 'g.pth', '--json')
    assert status == 0
    assert list(json.loads(text)['networks'][0]['bytes']) == ['pth']
    assert run('-o', tmp_path / 'g.pth')[0] == 0


@pytest.fixture(scope='module')
def by_channel(tmp_path_factory):
    """Folder of a config and a checkpoint with half of each group's channels left."""
    folder = tmp_path_factory.mktemp('by_channel')
    train_half(folder, **{'rg_hooks.pruning.granularity': 'channel'})
    return folder


@pytest.mark.parametrize('ending', ['pth', 'safetensors', 'onnx', 'packed'])
def test_pruned_channels_are_cut_out(run, by_channel, tmp_path, ending):
    files = {'config': by_channel / 'config.py', 'checkpoint': by_channel / 'sparse.pth'}
    out = tmp_path / f'small.{ending}'
    how = ['--format', 'packed'] if ending == 'packed' else []
    status, printed, _ = run('-o', out, *how, '--shrink', '--json', **files)
    assert status == 0
    said = json.loads(printed)
    assert [(cut['channels'], cut['left']) for cut in said['channels']] == [(4, 2), (4, 2)]
    assert said['difference'] <= 1e-5
    whole, small = said['networks']
    assert small['parameters'] < whole['parameters']
    assert small['macs'] < whole['macs']


def test_the_smaller_discriminator_is_measured_as_the_whole_one(run, by_channel, tmp_path):
    files = {'config': by_channel / 'config.py', 'checkpoint': by_channel / 'sparse.pth'}
    out = tmp_path / 'd.pth'
    status, printed, _ = run('-o', out, '--network', 'discriminator', '--shrink', '--json', **files)
    assert status == 0
    said = json.loads(printed)
    assert said['difference'] <= 1e-5
    whole, small = said['networks']
    assert small['macs'] < whole['macs']


def test_zeros_of_the_smaller_network_are_not_kept(run, tmp_path):
    status, printed, _ = run('-o', tmp_path / 'g.pth', '--shrink', '--json')
    assert status == 0
    small = json.loads(printed)['networks'][1]
    state = torch.load(tmp_path / 'g.pth', weights_only=True)
    zeros = sum(int((value == 0).sum()) for value in state.values() if value.ndim > 1)
    assert small['kept'] == small['parameters'] - zeros
    assert small['kept'] < 0.7 * small['parameters']
    assert small['macs_sparse'] < 0.7 * small['macs']


def test_one_network_is_cut(run, tmp_path):
    status, _, errors = run('-o', tmp_path / 'model.pth', '--all', '--shrink')
    assert (status, errors.count('\n')) == (1, 1)
    assert '--shrink' in errors
