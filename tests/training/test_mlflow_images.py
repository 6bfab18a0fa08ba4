"""A run that logs pictures to MLflow, which need not be installed: a stand-in takes its place."""

import sys
from types import ModuleType

import numpy as np
import pytest
from mmengine.visualization import MLflowVisBackend
from PIL import Image
from tiny import hook_of, tiny_runner

from rggan_mm.training.mlflow_images import NamedMLflowVisBackend, with_named_images


@pytest.fixture
def mlflow(monkeypatch, tmp_path):
    """What MLflow does with a picture; everything else is taken and forgotten."""
    module = ModuleType('mlflow')
    module.folder = tmp_path / 'artifacts'
    module.folder.mkdir()

    def log_image(image, name):
        path = module.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)

    module.log_image = log_image
    module.__getattr__ = lambda name: lambda *args, **kwargs: None
    monkeypatch.setitem(sys.modules, 'mlflow', module)
    return module


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def test_names_without_an_ending_get_the_step_and_one(mlflow, tmp_path):
    backend = NamedMLflowVisBackend(str(tmp_path))
    picture = np.full((4, 4, 3), 7, np.uint8)
    for name in ('gan', 'gan_v1.5', 'fakes/gan', 'kept.jpg', 'kept.PNG'):
        backend.add_image(name, picture, step=20)
    wanted = ['fakes/gan_20.png', 'gan_20.png', 'gan_v1.5_20.png', 'kept.PNG', 'kept.jpg']
    assert names(mlflow.folder) == wanted
    assert (np.asarray(Image.open(mlflow.folder / 'gan_20.png')) == picture).all()


def test_mmengines_own_still_needs_it(mlflow, tmp_path):
    with pytest.raises(ValueError, match='unknown file extension'):
        MLflowVisBackend(str(tmp_path)).add_image('gan', np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize('kind', ['MLflowVisBackend', 'mmengine.MLflowVisBackend'])
def test_a_run_that_draws_pictures_goes_on(mlflow, tmp_path, kind):
    options = {
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'visualizer.vis_backends': [dict(type='VisBackend'), dict(type=kind)],
    }
    runner = tiny_runner(tmp_path / 'run', **options)
    picture = dict(type='VisualizationHook', interval=1, fixed_input=True)
    picture['vis_kwargs_list'] = dict(type='Noise', name='fakes', n_samples=2, n_row=2)
    runner.register_hook(picture)
    runner.train()
    assert runner.iter == 2
    assert hook_of(runner, runner.hooks[-1].__class__)
    assert 'samples_2.png' in names(mlflow.folder)  # of SampleGridHook
    assert all(name.endswith('.png') for name in names(mlflow.folder))


def test_other_visualizers_stay_as_they_are():
    for given in (None, dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])):
        assert with_named_images(given) is given
