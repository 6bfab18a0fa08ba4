"""The faces at 32x32: what the configs say, and that they train with their own extractor."""

import json
import math

import pytest
from mmengine.config import Config
from tiny import ROOT, tiny_runner

from rggan_mm.analysis.prunable import inspect_config

PATHS = {name: ROOT / 'configs' / f'{name}_faces_32.py' for name in ('sngan', 'rg_sngan')}
SMALL = {name: ROOT / 'configs' / f'{name}_faces_32.py' for name in ('dcgan', 'rg_dcgan')}


@pytest.mark.parametrize('name', PATHS)
def test_the_network_is_the_published_one_at_full_width(name):
    config = Config.fromfile(PATHS[name])
    sizes = {r.name: r.parameters for r in inspect_config(config) if r.role == 'trained'}
    assert sizes == {'generator': 4_276_739, 'discriminator': 1_053_824}
    assert config.train_dataloader.batch_size == 64
    assert config.model.discriminator_steps == 5
    assert config.train_cfg.max_iters == 20 * config.train_cfg.val_interval


def test_the_two_differ_in_what_rg_brings():
    dense, rg = (Config.fromfile(path) for path in PATHS.values())
    for part in ('generator', 'discriminator'):
        assert (dense.model[part].init_cfg.type, rg.model[part].init_cfg.type) == ('SNGAN', 'SAGAN')
        dense.model[part].init_cfg.type = 'SAGAN'
    rg.pop('rg_hooks')
    assert dense.to_dict() == rg.to_dict()


def test_the_small_two_differ_in_what_rg_brings():
    dense, rg = (Config.fromfile(path) for path in SMALL.values())
    rg.pop('rg_hooks')
    assert dense.to_dict() == rg.to_dict()


def test_one_half_of_the_faces_decides_and_the_other_reports():
    config = Config.fromfile(SMALL['dcgan'])
    reports = config.val_evaluator.metrics[0].reports
    decide, report = config.val_dataloader.dataset.indices, reports.held_out.indices
    assert sorted([*decide, *report]) == list(range(105))
    assert 'indices' not in config.train_dataloader.dataset
    assert 'indices' not in reports['all']


def test_a_run_is_measured_with_features_of_real_images(tmp_path):
    own = {'extractor': 'efficientnet', 'fake_nums': 10}
    options = {f'val_evaluator.metrics.0.{key}': value for key, value in own.items()}
    runner = tiny_runner(
        tmp_path,
        PATHS['rg_sngan'],
        **options,
        train_cfg__max_iters=20,
        train_cfg__val_interval=10,
        default_hooks__checkpoint__save_best='efficientnet/fid',
        rg_hooks__pruning__lr=0.05,  # in 20 iterations
    )
    runner.train()
    records = json.loads((tmp_path / 'evaluations.json').read_text())
    assert [record['iter'] for record in records] == [10, 20]
    for record in records:
        assert record['metrics']['efficientnet/fid'] > 0
        assert math.isfinite(record['metrics']['efficientnet/fid'])
        assert record['metrics']['efficientnet/extractor'] == 'efficientnet-lite0-57934424'
        assert record['metrics']['efficientnet/reference'] == 'folder faces train'
    assert len(list((tmp_path / 'samples').glob('iter_*.png'))) == 2
    assert list(tmp_path.glob('best_*.pth'))
