"""What a study file means, and how far its runs are."""

import pytest
from tiny import ROOT
from tiny_study import SMALL, write_study

from rggan_mm.analysis.study import read_study
from rggan_mm.analysis.study.plan import CONFIG, write_record
from rggan_mm.commands.configs import read_config
from rggan_mm.errors import ConfigError


def of_dense(**fields):
    """A study of one method."""
    config = str(ROOT / 'configs' / 'sngan_digits_35.py')
    return {'methods': {'dense': {'config': config, **fields}}}


def test_runs_have_their_changes_seed_and_folder(tmp_path):
    study = read_study(write_study(tmp_path), tmp_path / 'w')
    assert [(run.method, run.seed) for run in study.runs] == [
        ('dense', 0),
        ('dense', 1),
        ('rg', 0),
        ('rg', 1),
    ]
    run = study.runs[3]
    assert run.folder == tmp_path / 'w' / 'tiny' / 'rg' / 'seed_1'
    assert run.config.randomness.seed == 1
    assert run.config.model.generator.base_channels == 4
    assert run.iterations == SMALL['train_cfg.max_iters']


@pytest.mark.parametrize('path', sorted((ROOT / 'studies').glob('*.py')), ids=lambda p: p.stem)
def test_no_two_runs_of_our_studies_are_the_same(path, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    study = read_study(path, tmp_path)
    hashes = {run.hash for run in study.runs}
    assert len(hashes) == len(study.runs)


def test_a_method_may_have_seeds_of_its_own(tmp_path):
    path = write_study(tmp_path)
    methods = read_config(str(path)).to_dict()['methods']
    methods['rg']['seeds'] = [7]
    study = read_study(write_study(tmp_path, methods=methods), tmp_path)
    assert [run.seed for run in study.chosen(['rg'], None)] == [7]


def test_a_subset_is_chosen_by_method_and_seed(tmp_path):
    study = read_study(write_study(tmp_path), tmp_path)
    assert [run.name for run in study.chosen(['rg'], [1])] == ['rg seed 1']
    assert len(study.chosen(None, [0])) == 2
    assert [run.name for run in study.chosen(None, None)] == [
        f'{method} seed {seed}' for seed in (0, 1) for method in ('dense', 'rg')
    ]
    for methods, seeds in ((['rgg'], None), (None, [9])):
        with pytest.raises(ConfigError):
            study.chosen(methods, seeds)


def test_the_prepared_config_is_the_one_that_counts(tmp_path):
    run = read_study(write_study(tmp_path), tmp_path / 'w').runs[0]
    assert run.state() == 'missing'
    run.prepare()
    assert run.state() == 'started'
    again = read_config(str(run.folder / CONFIG))
    assert again.to_dict() == run.config.to_dict()
    write_record(run.folder, state='done')
    assert run.state() == 'done'


def test_another_config_is_noticed_and_another_place_is_not(tmp_path):
    path, root = write_study(tmp_path), tmp_path / 'w'
    before = read_study(path, root).runs[0]
    before.prepare()
    assert read_study(path, tmp_path / 'v').runs[0].hash == before.hash
    methods = read_config(str(path)).to_dict()['methods']
    methods['dense']['changes']['train_cfg.max_iters'] = 8
    changed = read_study(write_study(tmp_path, methods=methods), root).runs[0]
    assert changed.state() == 'changed'
    (changed.folder / 'evaluations.json').write_text('[]')
    changed.prepare()
    assert changed.state() == 'started'
    assert not (changed.folder / 'evaluations.json').exists()


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        ({'baseline': 'sparse'}, "baseline='sparse' must be one of dense, rg"),
        ({'metric': 3}, 'metric=3 must be'),
        ({'report': ['fid']}, "report=['fid'] must be"),
        ({'seeds': []}, 'seeds=[] must be'),
        ({'seeds': 3}, 'seeds=3 must be'),
        ({'seeds': [0, 1.5]}, 'seeds: the seed 1.5 must be'),
        ({'seeds': [4, 0, 4]}, 'seeds: the seed 4 is there twice'),
        ({'methods': ['dense']}, "methods=['dense'] must be"),
        ({'methods': {}}, 'methods={} must be'),
        ({'methods': {'dense': None}}, 'methods.dense=None must be'),
        ({'methods': {'dense': {}}}, 'methods.dense.config=None must be'),
        ({'methods': {'../x': {'config': 'x.py'}}}, "methods: the name '../x' must be"),
        ({'methods': {'.x': {'config': 'x.py'}}}, "methods: the name '.x' must be"),
        (of_dense(change={}), 'methods.dense.change: a method has config, changes, seeds'),
        (of_dense(config=['a']), "methods.dense.config=['a'] must be"),
        (of_dense(config='nowhere.py'), 'nowhere.py: there is no such file'),
        (of_dense(changes=['a']), "methods.dense.changes=['a'] must be"),
        (of_dense(seeds=[]), 'methods.dense.seeds=[] must be'),
        (of_dense(seeds=[7, 7]), 'methods.dense.seeds: the seed 7 is there twice'),
    ],
)
def test_wrong_studies_are_refused_in_one_line(tmp_path, fields, said):
    with pytest.raises(ConfigError) as error:
        read_study(write_study(tmp_path, **fields), tmp_path)
    assert said in str(error.value)
    assert '\n' not in str(error.value)


def test_a_wrong_study_is_named(tmp_path):
    path = write_study(tmp_path, seeds=[])
    with pytest.raises(ConfigError) as error:
        read_study(path, tmp_path)
    assert str(error.value).startswith(f'{path}: seeds')
