"""Checks of what a config says about a model's parts by name."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rggan_mm.close_names import did_you_mean
from rggan_mm.errors import ConfigError


def check_names(field: str, value: Sequence[str] | None) -> list[str] | None:
    """Returns a list of names; None stays None.

    Raises:
        ConfigError: Anything else, a single string included.
    """
    if value is None:
        return None
    named = isinstance(value, (list, tuple)) and all(isinstance(v, str) and v for v in value)
    if not named or not value:
        raise ConfigError(f"{field}={value!r} must be a list of names, such as ['generator']")
    return list(value)


def check_mapping(field: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns a dict by name; None is an empty one.

    Raises:
        ConfigError: Anything else.
    """
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f'{field}={value!r} must be a dict by name, such as {field}=dict(...)')
    return dict(value or {})


def refuse_unknown(field: str, names: Iterable[str], there: Collection[str]) -> None:
    """Raises ConfigError with what is there when a name is not."""
    for name in names:
        if name not in there:
            hint = did_you_mean(name, there)
            raise ConfigError(f'{field}: there is no {name!r}{hint}; there is: {", ".join(there)}')
