"""What is in the wheel, and that all places say one version."""

import re
import subprocess
import sys
import zipfile

import pytest
import yaml
from tiny import ROOT

from rggan_mm import __version__

TOOLS = ('train', 'test', 'evaluate', 'export', 'generate', 'init', 'prepare_images')


def test_changelog_and_citation_have_the_version_of_the_package():
    changelog = (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
    assert re.search(r'^## (\S+)', changelog, re.M)[1] == __version__
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    assert str(citation['version']) == __version__


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    here = ['--no-deps', '--no-build-isolation', '--disable-pip-version-check', '--quiet']
    copy = folder / 'source'  # a build leaves folders behind
    subprocess.run(['git', 'clone', '--quiet', str(ROOT), str(copy)], check=True)
    command = [sys.executable, '-m', 'pip', 'wheel', *here, '--wheel-dir', str(folder), str(copy)]
    subprocess.run(command, check=True)
    (path,) = folder.glob('*.whl')
    return zipfile.ZipFile(path)


@pytest.mark.slow
def test_the_wheel_has_configs_and_tools_where_mim_looks_for_them(wheel):
    names = set(wheel.namelist())
    for path in (ROOT / 'configs').rglob('*.py'):
        assert f'rggan_mm/.mim/configs/{path.relative_to(ROOT / "configs")}' in names
    assert {f'rggan_mm/.mim/tools/{name}.py' for name in TOOLS} <= names
    assert {f'rggan_mm/.mim/tools/{name}.sh' for name in ('dist_train', 'dist_test')} <= names
    for path in (ROOT / 'rggan_mm' / 'evaluation' / 'weights').iterdir():
        assert str(path.relative_to(ROOT)) in names


@pytest.mark.slow
def test_the_wheel_has_nothing_that_needs_a_clone(wheel):
    outside = [name for name in wheel.namelist() if not name.startswith('rggan_mm')]
    assert outside == []
    for name in wheel.namelist():
        if name.endswith('.py'):
            text = wheel.read(name).decode()
            assert not re.search(r'^(from|import) (dev|tests)\b', text, re.M), name


@pytest.mark.slow
def test_its_metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith('/METADATA'))
    lines = wheel.read(name).decode().splitlines()
    assert {'License-Expression: Apache-2.0', f'Version: {__version__}'} <= set(lines)
    required = [line for line in lines if line.startswith('Requires-Dist: ')]
    pinned = [line for line in required if re.search(r'diffusers|transformers', line)]
    assert pinned
    assert all('extra == "mmagic-all"' in line for line in pinned)
