"""How strongly to prune, as a person says it: lambda, or the keep ratio that sets it."""

from collections.abc import Callable, Mapping

from rggan_mm.errors import ConfigError

from .thresholds import check_lam

# The published default.
LAM = 1e-12
REACH = 0.75


def lam_or_keep_ratio(
    lam: float | Mapping[str, float] | None, keep_ratio: float | Mapping[str, float] | None
) -> tuple[float | dict[str, float] | None, float | dict[str, float] | None]:
    """Checks which of the two is named; None is not named.

    Args:
        lam: One for all networks or one by network.
        keep_ratio: The same.

    Returns:
        Both, one of them None; the published lambda where neither is named.

    Raises:
        ConfigError: Both are named, or one is out of its range.
    """
    if lam is not None and keep_ratio is not None:
        raise ConfigError(
            f'lam={lam!r} and keep_ratio={keep_ratio!r} are both set; one sets the other, so set '
            'lam=None or keep_ratio=None'
        )
    if keep_ratio is not None:
        return None, _each('keep_ratio', keep_ratio, check_share)
    return _each('lam', LAM if lam is None else lam, check_lam), None


def of_network(field: str, value: float | Mapping[str, float], network: str) -> float:
    """The number of one network, out of one for all or one by network.

    Raises:
        ConfigError: A mapping without the network.
    """
    if not isinstance(value, Mapping):
        return value
    if network not in value:
        raise ConfigError(
            f'{field}={dict(value)}: there is none for {network!r}; name every pruned network'
        )
    return value[network]


def check_share(value: float, name: str = 'keep_ratio', whole: bool = False) -> float:
    """Returns a share of weights, or raises ConfigError outside (0, 1); ``whole`` allows 1."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and (0 < value < 1 or (whole and value == 1))):
        most = 'at most' if whole else 'below'
        raise ConfigError(f'{name}={value!r} must be a number above 0 and {most} 1, such as 0.5')
    return float(value)


def check_steps(value: int, name: str = 'steps') -> int:
    """Returns a number of steps, or raises ConfigError unless it is an integer above 0."""
    if type(value) is not int or value < 1:
        raise ConfigError(
            f'{name}={value!r} must be an integer of at least 1: the optimiser steps of the '
            'network in the whole run, which keep_ratio needs'
        )
    return value


def reach_beside(keep_ratio: object, reach: float | None, steps: object = None) -> float:
    """Returns the checked reach, 0.75 for None; refuses what counts only with a keep ratio.

    Raises:
        ConfigError: ``reach`` is out of its range, or it or ``steps`` is set without a keep ratio.
    """
    for field, value in (('reach', reach), ('steps', steps)):
        if keep_ratio is None and value is not None:
            raise ConfigError(
                f'{field}={value!r} counts only with keep_ratio, which is not set; set {field}=None'
            )
    return check_reach(REACH if reach is None else reach)


def check_reach(value: float) -> float:
    """Returns a fraction of the run, or raises ConfigError outside (0, 1]."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and 0 < value <= 1):
        raise ConfigError(f'reach={value!r} must be a number above 0 and at most 1, such as 0.75')
    return float(value)


def _each(
    field: str, value: float | Mapping[str, float], check: Callable[[float, str], float]
) -> float | dict[str, float]:
    if isinstance(value, Mapping):
        return {name: check(number, f'{field}.{name}') for name, number in value.items()}
    return check(value, field)
