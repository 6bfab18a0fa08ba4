"""RG-GAN (dynamic regenerative pruning) as a plugin for MMagic.

Importing the package closes the gaps between MMagic and the installed
libraries and registers every dataset, network, hook and metric, so that
``custom_imports = dict(imports=['rggan_mm'])`` is all a config needs. Without
MMEngine only the plain-PyTorch parts (``rggan_mm.pruning``) are of use, and
importing the package does nothing.
"""

import warnings
from importlib import import_module
from importlib.util import find_spec

from rggan_mm.version import __version__

_REGISTERING = ('datasets', 'models', 'hooks', 'evaluation', 'config_check')


def _register() -> None:
    """Apply compat, then import the subpackages that register something."""
    with warnings.catch_warnings():
        # diffusers, which mmagic imports, speaks to its own developers here.
        warnings.filterwarnings('ignore', '.*_register_pytree_node', FutureWarning)
        import_module('rggan_mm.compat').apply()
        for name in _REGISTERING:
            import_module(f'rggan_mm.{name}')


if find_spec('mmengine') is not None:
    _register()

__all__ = ['__version__']
