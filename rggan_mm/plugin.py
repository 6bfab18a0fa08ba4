"""What ``custom_imports`` of a config names: registers everything, repairs MMagic.

custom_imports = dict(imports=['rggan_mm.plugin'], allow_failed_imports=False)
"""

import warnings
from importlib import import_module

with warnings.catch_warnings():
    # diffusers, which mmagic imports, speaks to its own developers here.
    warnings.filterwarnings('ignore', '.*_register_pytree_node', FutureWarning)
    import_module('rggan_mm.compat').apply()
    for _name in ('datasets', 'models', 'training', 'hooks', 'evaluation'):
        import_module(f'rggan_mm.{_name}')
