"""The check of a config: what it refuses, in which words, and that it lets valid ones pass."""

import copy
import math
from pathlib import Path

import mmagic
import pytest
from config_mutations import at
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from tiny import DIGITS, ROOT, tiny_config

from rggan_mm.config_check import check_config, check_training
from rggan_mm.errors import ConfigError

STOCK = Path(mmagic.__file__).parent / '.mim' / 'configs'
OURS = sorted((ROOT / 'configs').glob('*.py'))
FOLDERS = (
    'biggan', 'cyclegan', 'dcgan', 'eg3d', 'ggan', 'lsgan', 'pggan', 'pix2pix',
    'positional_encoding_in_gans', 'sagan', 'singan', 'sngan_proj', 'styleganv1',
    'styleganv2', 'styleganv3', 'wgan-gp',
)  # fmt: skip
GANS = sorted(path for folder in FOLDERS for path in (STOCK / folder).glob('*.py'))
# MMEngine itself cannot build them: an argument that the generator does not take, and a
# validation of which one part is missing.
BROKEN = {
    'biggan-deep_cvt-hugging-face-rgb_imagenet1k-128x128': TypeError,
    'biggan-deep_cvt-hugging-face_rgb_imagenet1k-256x256': TypeError,
    'biggan-deep_cvt-hugging-face_rgb_imagenet1k-512x512': TypeError,
    'sngan-proj-cvt-studioGAN_cifar10-32x32': ValueError,
    'sngan-proj-cvt-studioGAN_imagenet1k-128x128': ValueError,
}


def load(path):
    config = Config.fromfile(path)
    config.work_dir = 'unused'
    return config


@pytest.mark.parametrize('path', OURS, ids=lambda path: path.stem)
def test_our_configs_pass(path):
    check_config(load(path))
    check_training(load(path))


def test_all_gan_configs_of_mmagic_pass_but_for_those_that_it_cannot_build():
    refused = {}
    for path in GANS:
        try:
            check_config(load(path))
        except ConfigError as error:
            refused[path.stem] = str(error)
    assert len(GANS) > 80
    assert refused.keys() == BROKEN.keys(), refused


@pytest.mark.parametrize('name', BROKEN)
def test_mmengine_cannot_build_those_either(name, tmp_path):
    (path,) = (path for path in GANS if path.stem == name)
    config = load(path)
    config.work_dir = str(tmp_path)
    config.experiment_name = tmp_path.name
    unchecked = Runner.from_cfg.__func__.__wrapped__
    with pytest.raises(BROKEN[name]):
        unchecked(Runner, config)


def test_the_config_is_left_as_it_is():
    config = load(DIGITS)
    before = copy.deepcopy(config.to_dict())
    check_config(config)
    assert config.to_dict() == before


BAD = {
    'no model': ({'model': None}, r'^model is missing: the config must have a model'),
    'length': (
        {'train_cfg.max_iters': 2.5},
        r'^train_cfg\.max_iters=2\.5 must be a whole number of at least 1',
    ),
    'bool for a number': ({'train_dataloader.batch_size': True}, r'batch_size=True must be'),
    'bomb of workers': ({'val_dataloader.num_workers': 10**6}, r'num_workers=1000000 must be'),
    'bomb of images': ({'val_dataloader.batch_size': 10**9}, r'batch_size=1000000000 must be'),
    'bomb of factors': ({'model.generator.channels_cfg': [10**6, 1]}, r'generator\.channels_cfg='),
    'NaN': ({'optim_wrapper.generator.optimizer.lr': math.nan}, r'generator\.optimizer\.lr=nan'),
    'betas': ({'optim_wrapper.generator.optimizer.betas': [0.5]}, r'must be two numbers in \[0, 1'),
    'seed': ({'randomness.seed': -1}, r'^randomness\.seed=-1 must be a whole number of 0 to'),
    'argument of a function': (
        {'randomness.sead': 1},
        r'^randomness: unknown argument sead=1 \(did you mean seed\?\); set_randomness takes: seed',
    ),
    'class': (
        {'model.generator.type': 'SNGANGenerater'},
        r"^model\.generator\.type='SNGANGenerater': there is no model of that name "
        r'\(did you mean SNGANGenerator\?\)',
    ),
    'class of another registry': ({'custom_hooks': [dict(type='Adam')]}, r'^custom_hooks\.0\.type'),
    'argument': (
        {'train_dataloader.dataset.data_ration': 0.1},
        r'^train_dataloader\.dataset: unknown argument data_ration=0\.1 '
        r'\(did you mean data_ratio\?\); Digits takes: split, image_size',
    ),
    'argument that would be swallowed': (
        {'default_hooks.checkpoint.max_keep_ckpt': 3},
        r'^default_hooks\.checkpoint: unknown argument max_keep_ckpt=3 \(did you mean max_keep_c',
    ),
    'argument of the loader': (
        {'train_dataloader.batchsize': 3},
        r'^train_dataloader: unknown argument batchsize=3 \(did you mean batch_size\?\)',
    ),
    'argument of a metric in a list': (
        {'val_evaluator.metrics': [dict(type='GANMetrics', fake_num=3, extractor='digits')]},
        r'^val_evaluator\.metrics\.0: unknown argument fake_num=3 \(did you mean fake_nums\?\)',
    ),
    'kind of a hint': (
        {'val_dataloader.dataset.image_size': '16'},
        r"^val_dataloader\.dataset\.image_size='16' must be a number",
    ),
    'interval of a hook': (
        {'custom_hooks': [dict(type='VisualizationHook', interval='often')]},
        r"^custom_hooks\.0\.interval='often' must be a whole number of at least 1 or -1",
    ),
    'missing argument': (
        {'model.generator': {'type': 'SNGANGenerator', 'num_classes': 0}},
        r'^model\.generator\.output_scale is missing: SNGANGenerator needs it',
    ),
    'slip at the top': (
        {'default_hook': {}, 'default_hooks': None},
        r'^default_hook: did you mean default_hooks\?',
    ),
    'half a validation': ({'val_cfg': None}, r'^val_cfg is missing: val_dataloader, val_cfg'),
    'workers that stay': (
        {'train_dataloader.persistent_workers': True},
        r'^train_dataloader\.persistent_workers=True needs num_workers of at least 1; it is 0',
    ),
    'loop and evaluator': (
        {'val_cfg': {}},
        r"^val_cfg: ValLoop does not fit val_evaluator; take val_cfg=dict\(type='MultiValLoop'\)",
    ),
    'optimizer of nobody': (
        {'optim_wrapper.generator': {'type': 'OptimWrapper'}},
        r'^optim_wrapper\.generator must be a dict with an optimizer',
    ),
    'scope': ({'default_scope': 'mmagick'}, r"^default_scope='mmagick': there is no package"),
}


@pytest.mark.parametrize('name', BAD)
def test_what_is_wrong_is_named_before_anything_is_built(tmp_path, monkeypatch, name):
    def built(*_, **__):
        pytest.fail('something was built')

    for kind in ('setup_env', 'build_model', 'build_dataloader'):
        monkeypatch.setattr(Runner, kind, built)
    changes, message = BAD[name]
    tree = tiny_config(tmp_path).to_dict()
    for field, value in changes.items():
        *path, key = field.split('.')
        at(tree, path)[key] = value
    with pytest.raises(ConfigError, match=message):
        Runner.from_cfg(tree)


@pytest.mark.parametrize('name', ['train_cfg', 'train_dataloader', 'optim_wrapper'])
def test_nothing_to_train_is_refused(name):
    config = load(DIGITS)
    config[name] = None
    with pytest.raises(ConfigError, match=rf'^{name} is missing: .*nothing to train'):
        check_training(config)


@DATASETS.register_module()
class TakesAnything(BaseDataset):
    """A data set of a user's own, whose arguments only its base class names."""

    def __init__(self, mine=1, **kwargs):
        super().__init__(**kwargs)


def test_a_class_of_the_users_own_and_arguments_that_it_passes_on_are_let_through(tmp_path):
    config = tiny_config(tmp_path)
    config.train_dataloader.dataset = dict(type='TakesAnything', mine=2, ann_file='a', other=1)
    check_config(config)
    config.train_dataloader.dataset = dict(type=TakesAnything, lazy_init=True)
    check_config(config)


def test_objects_in_place_of_dicts_are_let_through(tmp_path):
    config = tiny_config(tmp_path).to_dict()
    config['model'] = object()
    config['train_dataloader'] = object()
    config['val_evaluator'] = [object()]
    check_config(config)
