"""``generate``: one seed is one image, in a checkpoint and in every file made of it."""

import numpy as np
import pytest
import torch
from exporting import train_half
from PIL import Image
from tiny import tiny_config, tiny_runner
from tool_modules import load_command

from rggan_mm.evaluation.images import to_rgb01

generate, export = load_command('generate'), load_command('export')
FILES = ('g.pth', 'g.safetensors', 'g.packed', 'whole.pth', 'g.onnx')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A config, a sparse checkpoint and a dense one, and the files that export makes."""
    folder = tmp_path_factory.mktemp('trained')
    runner = train_half(folder)
    stock = {'state_dict': runner.model.state_dict()}
    stock['state_dict'] = {
        name: value
        for name, value in stock['state_dict'].items()
        if name.rpartition('.')[2] not in ('threshold', 'sparse_phase')
    }
    torch.save(stock, folder / 'dense.pth')
    with pytest.MonkeyPatch.context() as patch:
        for name in FILES:
            how = ['--format', 'packed'] if name.endswith('packed') else []
            how += ['--all'] if name == 'whole.pth' else []
            files = [folder / 'config.py', folder / 'sparse.pth', '-o', folder / name]
            patch.setattr('sys.argv', ['export', *map(str, files), *how])
            assert export.main() == 0
    return folder


@pytest.fixture
def run(monkeypatch, capsys, folder):
    """Exit status, output and errors of a command line."""

    def run(file, *arguments, config='config.py'):
        given = ['--config', folder / config] if config else []
        line = ['generate', folder / file, *arguments, *given]
        monkeypatch.setattr('sys.argv', [*map(str, line)])
        return generate.main(), *capsys.readouterr()

    return run


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_a_seed_is_the_image_that_an_evaluation_would_make_of_its_noise(run, folder, tmp_path):
    assert run('sparse.pth', '-o', tmp_path, '--seeds', 3, '5-6')[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ['seed_3.png', 'seed_5.png', 'seed_6.png']
    runner = tiny_runner(tmp_path / 'run', load_from=str(folder / 'sparse.pth'))
    runner.call_hook('before_run')
    runner.load_or_resume()
    model = runner.model.eval()
    noise = torch.randn(1, model.noise_size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        (sample,) = model({'noise': noise, 'sample_model': 'ema'})
    wanted = to_rgb01(sample.fake_img[None], 'RGB')[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(pixels(tmp_path / 'seed_5.png') - wanted).max() <= 1
    assert (pixels(tmp_path / 'seed_5.png') != pixels(tmp_path / 'seed_6.png')).any()


@pytest.mark.parametrize('name', FILES)
def test_every_file_makes_the_image_of_the_checkpoint(run, tmp_path, name):
    assert run('sparse.pth', '-o', tmp_path / 'a', '--seeds', 7)[0] == 0
    config = None if name.endswith('.onnx') else 'config.py'
    assert run(name, '-o', tmp_path / 'b', '--seeds', 7, config=config)[0] == 0
    apart = pixels(tmp_path / 'a' / 'seed_7.png') - pixels(tmp_path / 'b' / 'seed_7.png')
    assert np.abs(apart).max() <= 1


@pytest.mark.parametrize('ending', ['safetensors', 'packed'])
def test_a_file_whose_channels_were_cut_makes_the_image_of_its_checkpoint(
    run, tmp_path, monkeypatch, ending
):
    train_half(tmp_path, **{'rg_hooks.pruning.granularity': 'channel'})
    small, how = tmp_path / f'small.{ending}', ['--format', 'packed'] * (ending == 'packed')
    files = [tmp_path / 'config.py', tmp_path / 'sparse.pth', '-o', small]
    monkeypatch.setattr('sys.argv', ['export', *map(str, files), '--shrink', *how])
    assert export.main() == 0
    for file, out in ((tmp_path / 'sparse.pth', 'a'), (small, 'b')):
        given = ['-o', tmp_path / out, '--seeds', 7, '--config', tmp_path / 'config.py']
        assert run(file, *given, config=None)[0] == 0
    apart = pixels(tmp_path / 'a' / 'seed_7.png') - pixels(tmp_path / 'b' / 'seed_7.png')
    assert np.abs(apart).max() <= 1


def test_a_dense_checkpoint_makes_other_images(run, tmp_path):
    for name in ('sparse', 'dense'):
        assert run(f'{name}.pth', '-o', tmp_path / f'{name}.png', '--seeds', 0)[0] == 0
    assert (pixels(tmp_path / 'sparse.png') != pixels(tmp_path / 'dense.png')).any()


def test_a_grid_names_its_seeds(run, tmp_path):
    status, text, _ = run('g.pth', '-o', tmp_path / 'grid.png', '--seeds', '0-4')
    assert (status, text.split()[-5:]) == (0, ['0', '1', '2', '3', '4'])
    height, width, _ = pixels(tmp_path / 'grid.png').shape
    assert (height - 2) * 3 == (width - 2) * 2  # three columns, two rows, lines of two pixels


def test_bgr_is_turned_and_asked_for_where_nothing_says_it(run, tmp_path):
    given = {'RGB': [], 'BGR': ['--channel-order', 'BGR']}
    for name, option in given.items():
        assert run('g.pth', '-o', tmp_path / f'{name}.png', '--seeds', 1, *option)[0] == 0
    assert (pixels(tmp_path / 'RGB.png') == pixels(tmp_path / 'BGR.png')[..., ::-1]).all()


@pytest.mark.parametrize(
    ('file', 'arguments', 'config', 'named'),
    [
        ('nowhere.pth', [], 'config.py', 'nowhere.pth'),
        ('g.pth', [], None, '--config'),
        ('g.pth', ['--network', 'genrator'], 'config.py', 'generator'),
        ('g.pth', ['--label', '3'], 'config.py', '--label 3'),
        ('g.pth', [], 'other.py', 'does not fit the config'),
        ('sparse.pth', [], 'other.py', 'does not fit the config'),
        ('broken.onnx', [], None, 'broken.onnx'),
        ('broken.safetensors', [], 'config.py', 'broken.safetensors'),
    ],
)
def test_bad_input_is_one_line_and_no_file(run, folder, tmp_path, file, arguments, config, named):
    tiny_config(folder, model__generator__base_channels=6).dump(folder / 'other.py')
    for name in ('broken.onnx', 'broken.safetensors'):
        (folder / name).write_bytes(b'nothing')
    status, _, error = run(file, '-o', tmp_path / 'x.png', *arguments, config=config)
    assert (status, error.count('\n')) == (1, 1)
    assert named in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('text', ['', '-1', '3-', '5-2', 'a', str(2**64)])
def test_seeds_that_are_none(text):
    with pytest.raises(generate.ArgumentTypeError):
        generate.seeds(text)
