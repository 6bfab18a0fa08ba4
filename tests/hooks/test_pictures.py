"""Sample grids and curves."""

import json

import numpy as np
import pytest
import torch
from families import family_runner
from PIL import Image
from tiny import ROOT, Records, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.hooks.recording import History
from rggan_mm.pruning import SparseNetwork

DENSE = ROOT / 'configs' / 'sngan_digits_10pct.py'


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_grid_per_evaluation_from_the_same_noise(tmp_path):
    runner = tiny_runner(tmp_path, SampleGridHook__rows=3)
    runner.train()
    files = sorted((tmp_path / 'samples').iterdir())
    assert [file.name for file in files] == [f'iter_{i:06d}.png' for i in range(1, 7)]
    # Images of 16 pixels are shown four times as large, with a border of two.
    assert pixels(files[0]).shape == (3 * 66 + 2, 3 * 66 + 2, 3)
    # The generator steps in iteration 5 only; before it the average stands still.
    assert not np.array_equal(pixels(files[3]), pixels(files[4]))


def test_grids_leave_the_random_stream_alone(tmp_path):
    states = []
    for name, hooks in {'with': [dict(type='SampleGridHook')], 'without': []}.items():
        runner = tiny_runner(tmp_path / name, custom_hooks=hooks)
        runner.train()
        states.append({k: v.clone() for k, v in runner.model.state_dict().items()})
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.parametrize('path', [None, DENSE], ids=['rg', 'dense'])
def test_curve_and_record(tmp_path, path):
    runner = tiny_runner(tmp_path, path) if path else tiny_runner(tmp_path)
    runner.train()
    records = json.loads((tmp_path / 'evaluations.json').read_text())
    assert [record['iter'] for record in records] == [1, 2, 3, 4, 5, 6]
    assert records[0]['metrics']['digits/extractor'] == 'digits-v1'
    assert bool(records[0]['keep_ratio']) == (path is None)
    picture = pixels(tmp_path / 'curves.png')
    assert picture.shape[0] > (600 if path is None else 300)
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10


JUDGED = [('ema', 'generator_ema'), ('orig', 'generator')]


@pytest.mark.parametrize(('sample_model', 'name'), JUDGED)
def test_the_record_names_the_network_that_was_evaluated(tmp_path, sample_model, name):
    runner = tiny_runner(
        tmp_path,
        train_cfg__max_iters=15,  # the generator steps every fifth iteration
        train_cfg__val_interval=5,
        **{
            'DynamicPruningHook.lam': 1.0,
            'DynamicPruningHook.lr': 0.02,
            'val_evaluator.metrics.0.sample_model': sample_model,
        },
    )
    runner.train()
    record = json.loads((tmp_path / 'evaluations.json').read_text())[-1]
    assert record['evaluated'] == {'digits': name}
    scalars = runner.message_hub.log_scalars
    assert scalars[f'val/{name}_keep_ratio'].current() == record['keep_ratio'][name]
    # The average's thresholds follow behind.
    assert record['keep_ratio']['generator'] < record['keep_ratio']['generator_ema'] < 1


def test_history_refuses_other_files(tmp_path):
    for text in ('{', '[1]', '[{"value": 1}]', '3'):
        (tmp_path / 'h.json').write_text(text)
        with pytest.raises(ConfigError, match=r'h\.json is not a history'):
            History(tmp_path / 'h.json').resume([], 10, tmp_path / 'h.json')


def test_another_protocol_on_resume_is_a_warning(tmp_path):
    tiny_runner(tmp_path, train_cfg__max_iters=2).train()
    changed = {'val_evaluator.metrics.0.fake_nums': 30, 'resume': True}
    runner = tiny_runner(tmp_path, train_cfg__max_iters=4, **changed)
    records = Records(runner)
    runner.train()
    (message,) = records.having('CurvesHook: ')
    assert 'n_fake 30' in message
    assert 'before with n_real 360, n_fake 20' in message


def test_the_record_has_each_layer_thresholds_and_resets(tmp_path):
    runner = tiny_runner(
        tmp_path,
        train_cfg__max_iters=4,
        **{'DynamicPruningHook.lam': 1.0, 'DynamicPruningHook.lr': 1.0},
    )
    runner.train()
    record = json.loads((tmp_path / 'evaluations.json').read_text())[-1]
    network = SparseNetwork.of(runner.model.discriminator)
    assert record['layers']['discriminator'] == pytest.approx(network.keep_ratios())
    assert record['threshold']['discriminator'] == pytest.approx(network.threshold_mean())
    assert record['resets']['discriminator'] == network.guard_counts() != {}


def test_a_model_without_noise_trains_without_pictures(tmp_path):
    skipped = dict(type='SampleGridHook', without_noise='skip')
    runner = family_runner('pix2pix', tmp_path, hooks=[skipped])
    runner.train()
    assert not (tmp_path / 'samples').exists()
