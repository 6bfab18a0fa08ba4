"""MMagic without the packages of its diffusion models, and that nothing of it stays."""

import builtins
import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from mmagic.utils import setup_env, try_import

from rggan_mm.compat import placeholders
from rggan_mm.errors import ConfigError

MMAGIC_ALL = Path(__file__).resolve().parents[2] / 'requirements' / 'mmagic-all.txt'
BLOCKED = """
import sys

BLOCKED = (
    'diffusers', 'transformers', 'huggingface_hub', 'controlnet_aux', 'mediapipe',
    'face_alignment', 'facexlib', 'albumentations', 'einops', 'imageio', 'lpips', 'resize_right',
)

class Blocker:
    def find_spec(name, path=None, target=None):
        if name.partition('.')[0] in BLOCKED:
            raise ModuleNotFoundError(f'blocked: {name}', name=name)

sys.meta_path.insert(0, Blocker)
real_import = __import__

import rggan_mm.plugin
import mmagic.registry as registry

print(__import__ is real_import, [name for name in BLOCKED if name in sys.modules])
try:
    import transformers.models
except ModuleNotFoundError as error:
    print(error)
noise = dict(type='DCGANGenerator', output_scale=16, base_channels=4)
judge = dict(
    type='DCGANDiscriminator', input_scale=16, output_scale=4, out_channels=1, base_channels=4
)
gan = registry.MODELS.build(
    dict(
        type='mmagic.GGAN', generator=noise, discriminator=judge, noise_size=8,
        data_preprocessor=dict(type='mmagic.DataPreprocessor'),
    )
)
print(type(gan.generator).__name__, gan.generator(None, num_batches=2).shape[0])
print([kind in registry.MODELS for kind in ('StyleGAN3', 'DDIM', 'UNet2DConditionModel')])
print([
    len(rooms) > 0
    for rooms in (registry.METRICS, registry.HOOKS, registry.TRANSFORMS, registry.VISUALIZERS)
])
import mmagic.apis
"""


@pytest.fixture
def diffusers():
    return placeholders.stand_in('diffusers', 'is not installed')


def inside(code, name='mmagic.some.module'):
    """What a module of this name gets when it is imported."""
    scope = {'__name__': name, '__builtins__': builtins}
    exec(code, scope)
    return scope


@pytest.mark.slow
def test_the_plugin_imports_and_a_gan_is_built_without_any_of_the_packages(run_python):
    done = run_python(BLOCKED)
    assert done.stdout.splitlines()[-5:] == [
        'True []',
        'blocked: transformers',
        'DCGANGenerator 2',
        '[True, False, False]',
        '[True, True, True, True]',
    ], done.stderr
    assert done.returncode == 0, done.stderr


def test_modules_of_mmagic_alone_are_served_and_only_meanwhile(diffusers):
    ask = 'import json\ntry:\n    import json.tool as got\nexcept ImportError as got:\n    pass'
    real = inside(ask)['got']
    with placeholders.served({'json': diffusers}):
        served = inside(ask)
        assert served['json'] is diffusers
        assert isinstance(served['got'], placeholders.PlaceholderModule)
        assert inside(ask, 'mmagical')['got'] is real
        assert importlib.import_module('json.tool') is real
        assert try_import('json.tool').__name__ == 'tool'
        assert try_import('no_such_package') is None
    assert inside(ask)['got'] is real
    assert try_import('json.tool') is real
    assert setup_env.importlib is importlib


def test_a_failing_import_puts_everything_back(diffusers):
    before = builtins.__import__, list(sys.meta_path)
    with pytest.raises(ZeroDivisionError), placeholders.served({'diffusers': diffusers}):
        raise ZeroDivisionError
    assert (builtins.__import__, list(sys.meta_path)) == before
    assert setup_env.importlib is importlib


def test_what_mmagic_does_with_them_while_it_is_imported_goes(diffusers):
    with placeholders.served({'diffusers': diffusers}):
        got = inside(
            'import diffusers\n'
            'from diffusers.utils import BaseOutput\n'
            'from diffusers.models.modeling_utils import ModelMixin\n'
            'from diffusers.configuration_utils import ConfigMixin, register_to_config\n'
            'from diffusers.utils.import_utils import is_xformers_available\n'
        )
    assert got['is_xformers_available']() is False
    assert got['register_to_config'](dir) is dir
    assert not [
        kind for kind in vars(got['diffusers'].pipelines).values() if isinstance(kind, type)
    ]
    dataclass(type('Output', (got['BaseOutput'],), {'__annotations__': {'sample': int}}))
    type('Model', (got['ModelMixin'], got['ConfigMixin']), {})


def test_whatever_is_used_says_what_is_missing(diffusers):
    model = type('Unet', (diffusers.ModelMixin,), {'__init__': lambda self: None})
    for use, name in (
        (model, 'Unet'),
        (lambda: model.from_pretrained('here'), 'Unet'),
        (lambda: diffusers.ModelMixin(3, key=4), 'ModelMixin'),
        (lambda: diffusers.utils.load_image('here'), 'load_image'),
    ):
        with pytest.raises(ConfigError, match=rf'^{name} .* diffusers, .*mmagic-all') as error:
            use()
        assert '\n' not in str(error.value)
    assert not hasattr(model, 'from_pretrained')


def test_a_reason_of_several_lines_becomes_one():
    placeholder = placeholders.stand_in('lpips', 'cannot be imported: Error: a\n  b')
    with pytest.raises(ConfigError, match=r'lpips, which cannot be imported: Error: a b: pip'):
        placeholder.LPIPS()


def troubles(monkeypatch, **versions):
    """What is missing with these versions installed, all of them of packages that work."""
    known = dict(huggingface_hub='0.25.2', transformers='4.48.3', diffusers='0.24.0') | versions

    def version(name):
        if known.get(name, '1.0') is None:
            raise placeholders.metadata.PackageNotFoundError(name)
        return known.get(name, '1.0')

    def import_module(name):
        package = name.partition('.')[0]
        if known.get(package, '1.0') is None:
            raise ModuleNotFoundError(f'No module named {package!r}', name=package)

    monkeypatch.setattr(placeholders.metadata, 'version', version)
    monkeypatch.setattr(placeholders, 'import_module', import_module)
    return placeholders.missing_packages()


def test_the_pinned_set_is_used(monkeypatch):
    assert troubles(monkeypatch) == {}


def test_one_that_is_too_new_takes_those_that_need_it_along(monkeypatch):
    assert troubles(monkeypatch, transformers='5.24.0') == {
        'transformers': 'in version 5.24.0 is too new for MMagic',
        'diffusers': 'cannot be used, because transformers in version 5.24.0 is too new for MMagic',
    }


def test_one_that_is_not_there_is_missing(monkeypatch):
    assert troubles(monkeypatch, lpips=None) == {'lpips': 'is not installed'}


def test_one_that_fails_is_missing_and_fails_for_others_as_before(tmp_path, monkeypatch):
    (tmp_path / 'broken_package.py').write_text('import sys\nsys.solutions\n')
    monkeypatch.syspath_prepend(tmp_path)
    package = placeholders.Package('broken_package', 'broken_package')
    monkeypatch.setattr(placeholders, 'PACKAGES', (package,))
    (trouble,) = placeholders.missing_packages().values()
    assert trouble.startswith('cannot be imported: AttributeError')
    with pytest.raises(AttributeError, match='solutions'):
        importlib.import_module('broken_package')


def test_nothing_is_imported_again_where_mmagic_is_there_already(monkeypatch):
    import mmagic.models

    monkeypatch.setattr(placeholders, 'import_module', None)
    assert mmagic.models.GGAN
    assert placeholders.import_rooms() is False


def test_the_bounds_are_those_of_the_requirements():
    text = MMAGIC_ALL.read_text(encoding='utf-8')
    for package in placeholders.PACKAGES:
        if package.too_new:
            (bound,) = re.findall(rf'^{package.name}\S*<([\d.]+)', text, re.MULTILINE)
            assert bound == package.too_new
