"""tools/evaluate.py compares any two of: folder, statistics, config, checkpoint."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import DIGITS, ROOT, tiny_config, tiny_runner
from tool_modules import load_command

from rggan_mm.evaluation.config_sources import GeneratedImages
from rggan_mm.hooks.discovery import sparse_networks


@pytest.fixture(scope='module')
def tool():
    return load_command('evaluate')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A short run: its config, its best checkpoint and the number that it logged."""
    folder = tmp_path_factory.mktemp('run')
    options = {'DynamicPruningHook.lam': 1.0, 'DynamicPruningHook.lr': 0.05}
    config = tiny_config(folder, DIGITS, **options)
    config.dump(str(folder / 'config.py'))
    runner = tiny_runner(folder, DIGITS, **options)
    runner.train()
    (checkpoint,) = folder.glob('best_*.pth')
    records = json.loads((folder / 'evaluations.json').read_text())
    best = min(records, key=lambda record: record['metrics']['digits/fid'])
    return SimpleNamespace(config=folder / 'config.py', checkpoint=checkpoint, best=best)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    pixels = np.random.RandomState(0).randint(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f'{index}.png')
    return folder


def run(tool, monkeypatch, capsys, *arguments):
    """Exit code, printed values and error line."""
    monkeypatch.setattr(sys, 'argv', ['evaluate.py', *map(str, arguments)])
    code = tool.main()
    out, err = capsys.readouterr()
    values = dict(line.split(maxsplit=1) for line in out.splitlines() if line[:1].strip())
    return code, values, err


def test_a_checkpoint_against_its_configs_reals(tool, trained, monkeypatch, capsys):
    arguments = [trained.config, trained.checkpoint, '--extractor', 'digits', '--num', 40]
    code, values, _ = run(tool, monkeypatch, capsys, *arguments, '--values', 'fid', 'is')
    assert code == 0
    assert float(values['fid']) > 0
    assert (values['n_real'], values['n_fake']) == ('360', '40')
    assert values['reference'] == 'Digits test'
    assert values['generated'].startswith(trained.checkpoint.name)
    assert 'ema, seed 0' in values['generated']
    assert values['extractor'] == 'digits-v1'


def test_the_best_checkpoint_gives_its_number_in_its_phase(trained):
    source = GeneratedImages(trained.config, trained.checkpoint, 20, batch_size=10)
    phases = {network.sparse for network in sparse_networks(source.model).values()}
    assert phases == {trained.best['sparse']}
    kept = sparse_networks(source.model)['generator'].keep_ratio()
    assert kept == pytest.approx(trained.best['keep_ratio']['generator'])


SLOW_TOTALS = [pytest.param(total, marks=pytest.mark.slow) for total in (3, 10)]


@pytest.mark.parametrize('total', [*SLOW_TOTALS, 23])
def test_samples_depend_on_the_seed_and_not_on_how_many_there_are(trained, total):
    def samples(number, seed):
        source = GeneratedImages(trained.config, trained.checkpoint, number, 10, seed)
        state = torch.random.get_rng_state()  # MMEngine's runner has set it to its seed
        images = torch.cat(list(source.batches()))
        assert torch.equal(state, torch.random.get_rng_state())
        assert len(images) == len(source) == number
        return images

    (ten, *_), (five, *_) = (
        GeneratedImages(trained.config, trained.checkpoint, 10, batch_size=size).batches()
        for size in (10, 5)
    )
    # Batch statistics in place of the stored ones would tell these apart.
    assert torch.allclose(ten[:5], five, atol=1e-5)
    first = samples(total, seed=1)
    assert torch.equal(samples(25, seed=1)[:total], first)
    assert not torch.equal(samples(total, seed=2), first)


def test_statistics_go_out_and_come_in(tool, folder, trained, tmp_path, monkeypatch, capsys):
    files = [tmp_path / 'a.npz', tmp_path / 'b.npz']
    common = ['--extractor', 'digits', '--num', 20]
    pair = [folder, trained.checkpoint, '--config', trained.config]
    saving = ['--save-stats', *files, '--json', tmp_path / 'out.json']
    _, direct, _ = run(tool, monkeypatch, capsys, *pair, *common, *saving)
    _, again, _ = run(tool, monkeypatch, capsys, *files)  # needs no extractor
    for name in ('extractor', 'resize', 'note'):
        assert again[name] == direct[name]
    for name in ('fid', 'n_real', 'n_fake'):
        assert float(again[name]) == pytest.approx(float(direct[name]))
    written = json.loads((tmp_path / 'out.json').read_text())
    assert {name: str(value) for name, value in written.items()} == direct
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.npz', 'b.npz', 'out.json']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['{folder}', 'x.pth'], 'x.pth: a checkpoint needs --config'),
        (['{folder}', 'x.pth', '--config', 'y.py'], 'y.py: there is no such file'),
        (['{folder}', 'x.pth', '--config', '{config}'], 'x.pth: there is no such file'),
        (['{folder}', 'x.npz'], 'statistics x.npz are not readable'),
        (['{folder}', 'nowhere'], 'nowhere is no folder and no .npz, .py or .pth file'),
        (['{folder}', '{folder}', '--num', '1'], '--num must be an integer of at least 2'),
        (['{folder}', '{folder}', '--batch-size', '0'], '--batch-size must be'),
        (['{folder}', '{folder}', '--weights', 'w.pth', '--extractor', 'digits'], '--weights is'),
        (['{folder}', '{folder}', '--weights', 'w.pth'], 'w.pth'),
        (['{folder}', '{folder}', '--workers', '-1'], '--workers must be'),
        (['{folder}', '{folder}', '--device', 'abacus'], '--device abacus cannot be used'),
        (['{folder}', '{folder}', '--save-stats', 'a.npz', 'b'], '--save-stats b must end in'),
        (['{folder}', '{folder}', '--save-stats', 'a.npz', './a.npz'], 'a.npz is named twice'),
        (['{folder}', '{folder}', '--nearest', 'a.jpg'], '--nearest a.jpg must end in .png'),
        (['{folder}', '{folder}', '--json', '{config}/a.json'], 'a.json cannot be written: '),
        (['{folder}', '{folder}', '--json', '/dev/null'], '/dev/null cannot be written: it is no'),
        (
            ['{folder}', '{checkpoint}', '--config', '{config}', '--json', '{config}'],
            'config.py is named twice',
        ),
        (['{folder}', '{folder}', '--num', '5'], '--num 5 is for a .pth file'),
        (['{folder}', '{folder}', '--seed', '0'], '--seed 0 is for a .pth file'),
        (['{folder}', '{config}', '--num', '5'], '--num 5 is for a .pth file'),
        (['{folder}', '{folder}', '--cfg-options', 'a=1'], 'is for a .pth or .py file'),
        (['{folder}', '{folder}', '--settings', 'splits=3'], 'unknown argument splits=3'),
        (['{folder}', '{checkpoint}', '--config', '{dense}'], 'does not fit the config: '),
        (
            [
                '{folder}',
                '{folder}',
                '--extractor',
                'digits',
                '--values',
                'is',
                '--settings',
                'is_splits=13',
            ],
            'is_splits must be at most the number of images, 12',
        ),
    ],
)
def test_bad_input_is_one_line(tool, folder, trained, arguments, message, monkeypatch, capsys):
    names = {**vars(trained), 'folder': folder, 'dense': ROOT / 'configs/sngan_digits_10pct.py'}
    given = [text.format(**names) for text in arguments]
    code, values, error = run(tool, monkeypatch, capsys, *given)
    assert code == 1
    assert values == {}
    assert error.startswith('error: ')
    assert message in error
    assert error.count('\n') == 1


def test_a_folder_is_its_own_nearest(tool, folder, tmp_path, monkeypatch, capsys):
    arguments = [folder, folder, '--extractor', 'digits', '--nearest', tmp_path / 'near.png']
    code, _, _ = run(tool, monkeypatch, capsys, *arguments)
    pixels = np.asarray(Image.open(tmp_path / 'near.png'))
    assert (code, pixels.shape) == (0, (2 * 18 + 2, 12 * 18 + 2, 3))
    np.testing.assert_array_equal(pixels[:18], pixels[18:36])


def test_progress_is_told_on_the_error_stream(tool, folder, monkeypatch, capsys):
    monkeypatch.setattr('rggan_mm.commands.progress.SECONDS', 0.0)
    arguments = [folder, folder, '--extractor', 'digits', '--batch-size', 5]
    code, values, error = run(tool, monkeypatch, capsys, *arguments)
    assert (code, values['n_real']) == (0, '12')
    lines = [f'{done} of 12 images of folder {folder.name}' for done in (5, 10)]
    assert error.splitlines() == lines + lines
