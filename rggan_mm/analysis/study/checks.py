"""What a study file may say."""

import re
from collections.abc import Mapping
from typing import Any

from rggan_mm.errors import ConfigError

FIELDS = ('metric', 'seeds', 'baseline', 'methods')
OPTIONAL = ('report', 'published')
METHOD_FIELDS = ('config', 'changes', 'seeds')
# A folder has this name.
_NAME = re.compile(r'[A-Za-z0-9_-][A-Za-z0-9_.-]*')


def check_study(fields: Mapping[str, Any]) -> None:
    """Refuses a study file with wrong fields.

    Args:
        fields: What the file says.

    Raises:
        ConfigError: A field is missing, or its value is not what it must be.
    """
    for name in FIELDS:
        if name not in fields:
            raise ConfigError(f'{name} is missing; a study has {", ".join(FIELDS)}')
    for name in ('metric', 'baseline', *OPTIONAL):
        value = fields.get(name)
        if not isinstance(value, str) and (name in FIELDS or value is not None):
            raise _wrong(name, value, 'a name, as text')
    _check_seeds('seeds', fields['seeds'])
    methods = fields['methods']
    if not isinstance(methods, Mapping) or not methods:
        raise _wrong('methods', methods, 'a dict, one entry a method')
    for name, method in methods.items():
        _check_method(name, method)
    if fields['baseline'] not in methods:
        raise _wrong('baseline', fields['baseline'], f'one of {", ".join(methods)}')


def _check_method(name: Any, method: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f'methods: the name {name!r} must be letters, digits, _, - and ., and not start with .'
        )
    where = f'methods.{name}'
    if not isinstance(method, Mapping):
        raise _wrong(where, method, f'a dict with {", ".join(METHOD_FIELDS)}')
    for field in method:
        if field not in METHOD_FIELDS:
            raise ConfigError(f'{where}.{field}: a method has {", ".join(METHOD_FIELDS)}')
    if not isinstance(method.get('config'), str):
        raise _wrong(f'{where}.config', method.get('config'), 'the path of what is trained')
    changes = method.get('changes', {})
    if not isinstance(changes, Mapping) or not all(isinstance(key, str) for key in changes):
        raise _wrong(f'{where}.changes', changes, 'a dict, values by the name of their field')
    if 'seeds' in method:
        _check_seeds(f'{where}.seeds', method['seeds'])


def _check_seeds(where: str, seeds: Any) -> None:
    if not isinstance(seeds, (list, tuple, range)) or not seeds:
        raise _wrong(where, seeds, 'a list of at least one seed')
    for seed in seeds:
        if type(seed) is not int or seed < 0:  # True is an int, too
            raise ConfigError(f'{where}: the seed {seed!r} must be an integer of at least 0')
    twice = next((seed for seed in seeds if seeds.count(seed) > 1), None)
    if twice is not None:
        raise ConfigError(f'{where}: the seed {twice} is there twice; once is right')


def _wrong(where: str, value: Any, right: str) -> ConfigError:
    return ConfigError(f'{where}={value!r} must be {right}')
