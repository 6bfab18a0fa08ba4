"""The values that can be asked for: what each needs and how it is computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.frechet import frechet_distance
from rggan_mm.evaluation.kernel_distance import kernel_distance
from rggan_mm.evaluation.neighbours import precision_recall
from rggan_mm.evaluation.settings import Settings
from rggan_mm.evaluation.statistics import CLASSES, FEATURES, Statistics


@dataclass(frozen=True)
class Value:
    """One thing to ask for.

    Attributes:
        names: Names in the result.
        compute: From statistics of real and of generated images and the settings.
        needs: What it needs of the generated images beside mean and covariance.
        needs_real: The same of the real images.
        uses_real: Whether it looks at real images at all.
    """

    names: tuple[str, ...]
    compute: Callable[[Statistics, Statistics, Settings], dict[str, float]]
    needs: frozenset[str] = frozenset()
    needs_real: frozenset[str] = frozenset()
    uses_real: bool = True


def _fid(real: Statistics, fake: Statistics, settings: Settings) -> dict[str, float]:
    return {'fid': frechet_distance(real.mean, real.cov, fake.mean, fake.cov)}


def _score(real: Statistics | None, fake: Statistics, settings: Settings) -> dict[str, float]:
    return dict(zip(VALUES['is'].names, fake.score, strict=True))


def _kid(real: Statistics, fake: Statistics, settings: Settings) -> dict[str, float]:
    subsets, size = settings.kid_subsets, settings.kid_subset_size
    distance = kernel_distance(real.features, fake.features, subsets, size)
    return dict(zip(VALUES['kid'].names, distance, strict=True))


def _pr(real: Statistics, fake: Statistics, settings: Settings) -> dict[str, float]:
    return precision_recall(real.features, fake.features, settings.neighbours)


_KEPT = frozenset({FEATURES})
VALUES = {
    'fid': Value(('fid',), _fid),
    'is': Value(('is', 'is_std'), _score, needs=frozenset({CLASSES}), uses_real=False),
    'kid': Value(('kid', 'kid_std'), _kid, needs=_KEPT, needs_real=_KEPT),
    'pr': Value(('precision', 'recall', 'density', 'coverage'), _pr, needs=_KEPT, needs_real=_KEPT),
}


def check_values(values: Any) -> tuple[str, ...]:
    """Return the names of values as a tuple.

    Args:
        values: Names of :data:`VALUES`, each once.

    Raises:
        ConfigError: None, an unknown name, or one twice.
    """
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    names = tuple(values) if is_list else ()
    if not names or any(name not in VALUES for name in names) or len(set(names)) < len(names):
        raise ConfigError(
            f'values must be a list with one or more of {", ".join(VALUES)}, each once, '
            f'but got {values!r}'
        )
    return names


def needs_of(values: Sequence[str]) -> frozenset[str]:
    """What these values need of the generated images."""
    return frozenset().union(*(VALUES[name].needs for name in values))


def needs_of_real(values: Sequence[str]) -> frozenset[str]:
    """What these values need of the real images."""
    return frozenset().union(*(VALUES[name].needs_real for name in values))


def uses_real(values: Sequence[str]) -> bool:
    """Whether any of these values looks at real images."""
    return any(VALUES[name].uses_real for name in values)
