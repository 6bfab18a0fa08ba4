"""What ``custom_imports`` of a config names: registers everything, repairs MMagic.

custom_imports = dict(imports=['rggan_mm.plugin'], allow_failed_imports=False)

One function of MMEngine is replaced, ``Runner.from_cfg``: a config with hooks of this
package gets a :class:`rggan_mm.training.SafeRunner`. Any other config goes on to MMEngine
untouched.
"""

import warnings
from functools import wraps
from importlib import import_module
from typing import Any

from mmengine.runner import Runner

with warnings.catch_warnings():
    # diffusers, which mmagic imports, speaks to its own developers here.
    warnings.filterwarnings('ignore', '.*_register_pytree_node', FutureWarning)
    import_module('rggan_mm.compat').apply()
    for _name in ('datasets', 'models', 'training', 'hooks', 'evaluation'):
        import_module(f'rggan_mm.{_name}')

from rggan_mm.compat.shims import after_apis
from rggan_mm.hooks.groups import asks_for_hooks, ungrouped
from rggan_mm.hooks.inference import read_sparse_checkpoints
from rggan_mm.training import SafeRunner
from rggan_mm.training.checkpoint_reading import allow_mmengine_types

_from_cfg = Runner.__dict__['from_cfg']


def open_door() -> None:
    """Lets ``Runner.from_cfg`` build a SafeRunner for configs with hooks of this package.

    A Runner class of the user's own stays, and gets the hooks that stand in groups.
    """

    @wraps(_from_cfg.__func__)
    def from_cfg(cls: type[Runner], cfg: Any) -> Runner:
        if asks_for_hooks(cfg):
            cls, cfg = SafeRunner if cls is Runner else cls, ungrouped(cfg)
        return _from_cfg.__func__(cls, cfg)

    Runner.from_cfg = classmethod(from_cfg)


def close_door() -> None:
    """Gives ``Runner.from_cfg`` back to MMEngine."""
    Runner.from_cfg = _from_cfg


allow_mmengine_types()
open_door()
after_apis(read_sparse_checkpoints)
