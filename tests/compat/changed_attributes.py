"""Lists what importing a module changes in other libraries: python changed_attributes.py MODULE ...

What the modules need of them is imported first, so that only changes are listed.
"""

import json
import sys
import warnings
from importlib import import_module
from inspect import isclass, ismodule

LIBRARIES = ('mmengine', 'mmcv', 'mmagic', 'torch', 'numpy', 'scipy', 'pytorch_fid')
NEEDED = (
    'mmcv.ops',
    'mmagic.models',
    'mmagic.datasets',
    'mmagic.engine',
    'mmagic.evaluation',
    'mmagic.visualization',
    'mmengine.hub.hub',
    'pytorch_fid.fid_score',
    'scipy.linalg',
    'torch.utils.tensorboard',
)
# Python and the libraries fill these in while they run.
NOISE = ('__warningregistry__', '__annotations__', '__doc__', '_abc_impl', 'next_id')


class AnyOperator:
    """Stands for mmcv's compiled operators."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return lambda *args: None


def import_needed():
    """Import the libraries as they are, with mmcv-lite as well."""
    ext_loader = import_module('mmcv.utils.ext_loader')
    original = ext_loader.load_ext
    try:
        import_module('mmcv._ext')
    except ModuleNotFoundError:
        ext_loader.load_ext = lambda *args: AnyOperator()
    for name in NEEDED:
        import_module(name)
    ext_loader.load_ext = original


def is_of_a_library(name):
    return name.partition('.')[0] in LIBRARIES


def snapshot():
    """Every attribute of every module and class of the libraries, by name."""
    found = {}
    for name, module in list(sys.modules.items()):
        if not is_of_a_library(name) or not ismodule(module):
            continue
        for attribute, value in list(vars(module).items()):
            found[f'{name}.{attribute}'] = value
            if isclass(value) and is_of_a_library(str(value.__module__)):
                kind = f'{value.__module__}.{value.__qualname__}'
                found |= {f'{kind}.{key}': held for key, held in list(vars(value).items())}
    return found


def changed(before, after):
    """Names of attributes that are another object, new, or gone; new modules do not count."""
    owners = {name.rpartition('.')[0] for name in before}
    found = set()
    for name in before.keys() | after.keys():
        owner, _, attribute = name.rpartition('.')
        same = before.get(name) is after.get(name)
        new_module = name not in before and ismodule(after[name])
        if not same and not new_module and owner in owners and attribute not in NOISE:
            found.add(name)
    # What a replaced class holds is the same change.
    return sorted(name for name in found if name.rpartition('.')[0] not in found)


def main(*modules):
    warnings.simplefilter('ignore')
    import_needed()
    found = {}
    for module in modules:
        before = snapshot()
        import_module(module)
        found[module] = changed(before, snapshot())
    json.dump(found, sys.stdout, indent=1)


if __name__ == '__main__':
    main(*(sys.argv[1:] or ['rggan_mm.plugin']))
