"""``python -m rggan_mm``: one table of commands, each a module."""

import subprocess
import sys
from contextlib import suppress
from importlib import import_module

import pytest
from tiny import ROOT

from rggan_mm import __main__ as command_line
from rggan_mm import __version__


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['rggan_mm', *arguments])
    return command_line.main()


@pytest.mark.parametrize('name', command_line.COMMANDS)
def test_each_command_is_a_module_with_help(monkeypatch, capsys, name):
    with suppress(SystemExit):
        run(monkeypatch, name, '--help')
    assert capsys.readouterr().out.startswith(f'usage: python -m rggan_mm {name} ')


def test_arguments_and_exit_status_are_those_of_the_command(monkeypatch):
    module = import_module('rggan_mm.commands.train')
    monkeypatch.setattr(module, 'main', lambda: (sys.argv[1:], 3))
    assert run(monkeypatch, 'train', 'c.py', '--resume') == (['c.py', '--resume'], 3)


def test_the_scripts_are_the_commands():
    names = {name.replace('-', '_') for name in command_line.COMMANDS}
    for script in (ROOT / 'tools').rglob('*.py'):
        if script.stem in names:
            assert f'rggan_mm.commands.{script.stem} import main' in script.read_text()
            names.remove(script.stem)
    assert not names


def test_help_and_version_import_no_command():
    code = (
        "import runpy, sys; sys.argv[1:] = ['--version']\n"
        "try: runpy.run_module('rggan_mm', run_name='__main__')\n"
        "finally: print(sorted({'torch', 'mmengine', 'rggan_mm.commands'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout
    assert shown == f'{__version__}\n[]\n'


def test_an_unknown_command_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, 'trian')
    assert end.value.code == 2
    assert "'train'" in capsys.readouterr().err
