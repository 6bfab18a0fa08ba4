"""Numbers that the values depend on beside the images."""

from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any

from rggan_mm.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """Settings of the values; those that were used stand beside the numbers.

    Attributes:
        kept: Largest number of features kept of a set of images, for ``kid``, ``pr`` and
            ``memorisation``; 4 D bytes each. Default: 10,000.
        is_splits: Splits of the Inception Score. Default: 10.
        kid_subsets: Subsets of the kernel distance. Default: 100.
        kid_subset_size: Images in one of them. Default: 1,000.
        neighbours: Which neighbour's distance is the radius, for ``pr``. Default: 5, as
            Naeem et al. for density and coverage; Kynkaanniemi et al. take 3.

    Raises:
        ConfigError: One of them is no integer of at least 1 (``kept`` and
            ``kid_subset_size``: 2).
    """

    kept: int = 10_000
    is_splits: int = 10
    kid_subsets: int = 100
    kid_subset_size: int = 1_000
    neighbours: int = 5

    def __post_init__(self):
        for field in fields(self):
            smallest = 2 if field.name in ('kept', 'kid_subset_size') else 1
            check_integer(field.name, getattr(self, field.name), smallest)

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> 'Settings':
        """Build from keyword arguments.

        Raises:
            ConfigError: An unknown name, or a bad value.
        """
        known = [field.name for field in fields(cls)]
        for name, value in arguments.items():
            if name not in known:
                raise ConfigError(
                    f'unknown argument {name}={value!r}; settings are: {", ".join(known)}'
                )
        return cls(**arguments)


def check_integer(field: str, value: Any, smallest: int, alternative: str = '') -> None:
    """Refuse what is no integer of at least ``smallest``.

    Raises:
        ConfigError: It is not; ``alternative`` is added to what would be right.
    """
    is_int = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_int or value < smallest:
        raise ConfigError(
            f'{field} must be an integer of at least {smallest}{alternative}, but got {value!r}'
        )
