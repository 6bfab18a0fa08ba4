"""The commands, and the developers' scripts of tools/, as modules."""

import importlib
import importlib.util

from tiny import ROOT

TOOLS = ROOT / 'tools'


def load_command(name):
    """The module of a command."""
    return importlib.import_module(f'rggan_mm.commands.{name}')


def load_tool(name):
    """The module of tools/NAME.py, without running it."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
