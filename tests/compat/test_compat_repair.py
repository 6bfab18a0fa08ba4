"""The engine that applies repairs, and every repair undone."""

import os
import platform
import re
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import mmagic
import numpy as np
import pytest

from rggan_mm import compat
from rggan_mm.compat import repair as engine
from rggan_mm.compat.repair import Repair


class Parent:
    def inherited(self):
        return 'inherited'


class Child(Parent):
    def own(self):
        return 'own'


@pytest.fixture
def stock():
    """MMagic as it is without repairs."""
    compat.undo()
    yield
    compat.undo()
    compat.apply()


@pytest.fixture
def library(monkeypatch):
    """A package with a class, a function and a registry."""
    module = ModuleType('library')
    module.__version__ = '1.0'
    module.Child, module.function, module.registry = Child, len, {'old': 1}
    monkeypatch.setitem(sys.modules, 'library', module)
    return module


def a_repair(*targets, **options):
    changes = {f'library:{target}': lambda original: ('repaired', original) for target in targets}
    return Repair('a', 'it fails', changes, package='library', last_version='1.0', **options)


def held(repair):
    return [engine.find(target).own() for target in repair.changes]


@pytest.mark.usefixtures('stock')
@pytest.mark.parametrize('repair', compat.repairs(), ids=lambda repair: repair.name)
def test_undo_puts_every_original_back(repair):
    before = held(repair)
    wanted = replace(repair, needed=lambda: True)
    assert engine.apply([wanted])[0].state == 'applied'
    changed = held(repair)
    assert all(now is not then for now, then in zip(changed, before, strict=True))
    assert engine.apply([wanted])[0].state == 'applied'
    assert all(now is then for now, then in zip(held(repair), changed, strict=True))
    compat.undo()
    assert all(now is then for now, then in zip(held(repair), before, strict=True))


@pytest.mark.usefixtures('stock')
def test_apply_after_undo_repairs_the_same_places():
    first = compat.apply()
    assert compat.apply() == first
    compat.undo()
    assert compat.apply() == first


def test_every_outcome_has_its_own_name_and_one_line_of_symptom():
    outcomes = compat.apply()
    assert len({outcome.name for outcome in outcomes}) == len(outcomes)
    assert all(outcome.symptom and '\n' not in outcome.symptom for outcome in outcomes)


@pytest.mark.usefixtures('stock')
def test_modules_classes_and_dicts_can_hold_what_is_replaced(library):
    repair = a_repair('function', 'Child.own', 'Child.inherited', 'registry.old', 'registry.new')
    own = Child.own
    engine.apply([repair])
    assert library.function == ('repaired', len)
    assert Child.inherited == ('repaired', Parent.inherited)
    assert library.registry == {'old': ('repaired', 1), 'new': ('repaired', None)}
    engine.undo()
    assert (library.function, Child.own, library.registry) == (len, own, {'old': 1})
    assert 'inherited' not in vars(Child)


@pytest.mark.usefixtures('stock')
@pytest.mark.parametrize(
    ('needed', 'state'),
    [
        (None, 'unknown version'),
        (lambda: True, 'applied'),
        (lambda: False, 'not needed'),
    ],
)
def test_an_unknown_version_is_one_warning_and_probes_are_asked(library, needed, state):
    library.__version__ = '1.1'
    repair = a_repair('function', needed=needed)
    with pytest.warns(UserWarning, match=r'library 1\.1') as caught:
        outcomes = engine.apply([repair, replace(repair, name='b', needed=lambda: False)])
    assert len(caught) == 1
    assert [outcome.state for outcome in outcomes] == [state, 'not needed']
    assert (library.function is len) == (state != 'applied')


@pytest.mark.usefixtures('stock')
@pytest.mark.parametrize('missing', ['nothing', 'Child.nothing', 'Nothing.own'])
def test_a_repair_with_a_missing_target_changes_nothing(library, missing):
    assert engine.apply([a_repair('function', missing)])[0].state == 'unknown version'
    assert library.function is len


@pytest.mark.usefixtures('stock')
def test_a_newer_mmagic_keeps_what_has_no_probe(monkeypatch):
    monkeypatch.setattr(mmagic, '__version__', '1.2.1')
    without_probe = [repair.name for repair in compat.repairs() if repair.needed is None]
    with pytest.warns(UserWarning, match=r'mmagic 1\.2\.1'):
        states = {outcome.name: outcome.state for outcome in compat.apply()}
    assert {name for name, state in states.items() if state == 'unknown version'} == set(
        without_probe
    )
    assert states['cyclegan-init'] == 'applied'


def test_a_missing_module_is_no_error_but_a_broken_one_is(tmp_path, monkeypatch):
    (tmp_path / 'broken_library.py').write_text('import not_there_at_all')
    monkeypatch.syspath_prepend(tmp_path)
    assert engine.find('mmagic.no_such_module:anything') is None
    assert engine.find('mmagic.utils.no.such.module:anything') is None
    with pytest.raises(ModuleNotFoundError, match='not_there_at_all'):
        engine.find('broken_library:anything')


@pytest.mark.slow
def test_the_command_prints_versions_and_a_row_per_shim_and_repair():
    done = subprocess.run(
        [sys.executable, '-m', 'rggan_mm.compat'],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, 'COLUMNS': '300'},
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    for package, version in (('python', platform.python_version()), ('numpy', np.__version__)):
        assert f'{package} {version}' in first
    rows = [re.split(r'\s+│\s+', line.strip('│ ')) for line in lines if line.startswith('│')]
    assert rows == [list(outcome) for outcome in compat.apply()]


def test_a_version_is_compared_as_a_version(library):
    for version, known in (('0.9.10', True), ('1.0', True), ('1.0.1', False), ('1.10', False)):
        library.__version__ = version
        assert a_repair('function').version_is_known == known
