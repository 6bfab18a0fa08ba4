"""Whether a component's class exists and takes what the config gives it."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry
from mmengine.runner import Runner

from rggan_mm.close_names import close_name, did_you_mean
from rggan_mm.errors import ConfigError

from .annotations import wanted_kind
from .components import Component

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
# Read by the registry itself.
_OF_REGISTRY = ('type', '_scope_')
# These pass what they do not know on to a function, later.
_PASSED_ON_TO = {CheckpointHook: Runner.save_checkpoint}
# Arguments that a class swallows unread are refused when they are this close to a known one.
_NEARLY = 0.85


def check_component(component: Component) -> None:
    """Refuses a component that cannot be built from its dict.

    Raises:
        ConfigError: No such class, an argument that it does not know, or one that it needs
            and does not get.
    """
    kind = component.config.get('type', component.default)
    if kind == '':
        raise ConfigError(
            f'{component.field}.type is missing: {_short(component.config)} must name a class'
        )
    built = find_class(component.registry, kind, component.field)
    parameters = _parameters(built)
    if parameters is not None:
        _check_known(component, built, parameters)
        _check_required(component, built, parameters)
        _check_kinds(component, parameters)


def find_class(registry: Registry, kind: Any, field: str) -> Any:
    """The class that a component names.

    Raises:
        ConfigError: There is none of that name; the message says what is close to it.
    """
    if not isinstance(kind, str):
        if callable(kind):
            return kind
        raise ConfigError(f'{field}.type={kind!r} must be the name of a class')
    with registry.switch_scope_and_registry(None) as scoped:
        try:
            found = scoped.get(kind)
        except (RuntimeError, ValueError, ImportError, AttributeError):
            found = None
        if found is None:
            raise ConfigError(
                f'{field}.type={kind!r}: there is no {scoped.name} of that name'
                f'{did_you_mean(kind, _names(scoped))}; a class of your own is found when '
                'custom_imports names its module'
            )
    return found


def _names(registry: Registry | None) -> list[str]:
    names = []
    while registry is not None:
        names += registry.module_dict
        registry = registry.parent
    return names


def _parameters(built: Any) -> Mapping[str, inspect.Parameter] | None:
    """Parameters of a class or function; None where it does not say."""
    called = built.__init__ if inspect.isclass(built) else built
    try:
        parameters = dict(inspect.signature(called).parameters)
    except (TypeError, ValueError):
        return None
    parameters.pop('self', None)
    return parameters


def _check_known(component: Component, built: Any, parameters: Mapping) -> None:
    known = [name for name, parameter in parameters.items() if parameter.kind not in _VARIABLE]
    passed_on = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if built in _PASSED_ON_TO:
        known += _parameters(_PASSED_ON_TO[built]) or ()
        passed_on = False
    elif passed_on:
        known += _inherited(built)
    for name, value in component.config.items():
        if name in known or name in (*_OF_REGISTRY, *component.given, *component.removed):
            continue
        if not passed_on or close_name(name, known, _NEARLY):
            known = list(dict.fromkeys(known))
            raise ConfigError(
                f'{component.field}: unknown argument {name}={_short(value)}'
                f'{did_you_mean(name, known)}; {_name(built)} takes: '
                f'{", ".join(known) or "no arguments"}'
            )


def _inherited(built: Any) -> list[str]:
    """Parameters of the classes above, where arguments can be passed on to them."""
    if not inspect.isclass(built):
        return []
    own = [base.__init__ for base in built.__mro__[1:] if '__init__' in vars(base)]
    signatures = [_parameters(init) or {} for init in own if init is not object.__init__]
    return [
        name
        for signature in signatures
        for name, parameter in signature.items()
        if parameter.kind not in _VARIABLE and name != 'self'
    ]


def _check_required(component: Component, built: Any, parameters: Mapping) -> None:
    missing = [name for name in _required(parameters) if not _is_given(name, component)]
    if missing:
        raise ConfigError(f'{component.field}.{missing[0]} is missing: {_name(built)} needs it')


def _check_kinds(component: Component, parameters: Mapping) -> None:
    for name, parameter in parameters.items():
        value = component.config.get(name)
        kind = wanted_kind(parameter, value)
        if kind:
            raise ConfigError(f'{component.field}.{name}={_short(value)} must be {kind}')


def _required(parameters: Mapping[str, inspect.Parameter]) -> Iterable[str]:
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIABLE:
            yield name


def _is_given(name: str, component: Component) -> bool:
    return name in component.config or name in component.given


def _name(built: Any) -> str:
    return getattr(built, '__name__', str(built))


def _short(value: Any, most: int = 80) -> str:
    shown = ' '.join(repr(value).split())
    return shown if len(shown) <= most else f'{shown[:most]}...'
