"""The values that can be asked for: what each needs and how it is computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.frechet import frechet_distance
from rggan_mm.evaluation.kernel_distance import kernel_distance
from rggan_mm.evaluation.memorisation import memorisation
from rggan_mm.evaluation.neighbours import precision_recall
from rggan_mm.evaluation.protocol import SMALLEST_COUNT
from rggan_mm.evaluation.settings import Settings
from rggan_mm.evaluation.statistics import CLASSES, FEATURES, Statistics


@dataclass(frozen=True)
class Value:
    """One thing to ask for.

    Attributes:
        names: Names that the result always has.
        compute: From statistics of real and of generated images and the settings.
        needs: What it needs of the generated images beside mean and covariance.
        needs_real: The same of the real images.
        uses_real: Whether it looks at real images at all.
        settings: Fields of :class:`Settings` that change it.
    """

    names: tuple[str, ...]
    compute: Callable[[Statistics, Statistics, Settings], dict[str, float]]
    needs: frozenset[str] = frozenset()
    needs_real: frozenset[str] = frozenset()
    uses_real: bool = True
    settings: tuple[str, ...] = ()


def _fid(real: Statistics, fake: Statistics, settings: Settings) -> dict[str, float]:
    return {'fid': frechet_distance(real.mean, real.cov, fake.mean, fake.cov)}


def _score(real: Statistics | None, fake: Statistics, settings: Settings) -> dict[str, float]:
    return dict(zip(VALUES['is'].names, fake.score, strict=True))


def _kid(real: Statistics, fake: Statistics, settings: Settings) -> dict[str, float]:
    size = min(settings.kid_subset_size, len(real.features), len(fake.features))
    whole = size == len(real.features) == len(fake.features)
    subsets = 1 if whole else settings.kid_subsets
    mean, deviation = kernel_distance(real.features, fake.features, subsets, size)
    values = {'kid': mean} if whole else {'kid': mean, 'kid_std': deviation}
    return {**values, 'kid_subsets': float(subsets), 'kid_subset_size': float(size)}


def _pr(real: Statistics, fake: Statistics, settings: Settings) -> dict[str, float]:
    return precision_recall(real.features, fake.features, settings.neighbours)


def _memorisation(real: Statistics, fake: Statistics, settings: Settings) -> dict[str, float]:
    return {'memorisation': memorisation(real.features, fake.features)}


_KEPT = frozenset({FEATURES})
VALUES = {
    'fid': Value(('fid',), _fid),
    'is': Value(
        ('is', 'is_std'), _score, frozenset({CLASSES}), uses_real=False, settings=('is_splits',)
    ),
    # Its result holds the subsets that there were, and their deviation where they differ.
    'kid': Value(('kid',), _kid, _KEPT, _KEPT),
    'pr': Value(
        ('precision', 'recall', 'density', 'coverage'), _pr, _KEPT, _KEPT, settings=('neighbours',)
    ),
    'memorisation': Value(('memorisation',), _memorisation, _KEPT, _KEPT),
}


def check_values(values: Any) -> tuple[str, ...]:
    """Return the names of values in the order in which they are computed.

    Args:
        values: Names of :data:`VALUES`, each once.

    Raises:
        ConfigError: None, an unknown name, or one twice.
    """
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    names = tuple(values) if is_list else ()
    known = all(isinstance(name, str) and name in VALUES for name in names)
    if not names or not known or len(set(names)) < len(names):
        raise ConfigError(
            f'values must be a list with one or more of {", ".join(VALUES)}, each once, '
            f'but got {values!r}'
        )
    return tuple(name for name in VALUES if name in names)


def settings_used(values: Sequence[str], settings: Settings) -> dict[str, float]:
    """Settings that these values depend on, as they stand beside the numbers."""
    return {
        name: float(getattr(settings, name)) for value in values for name in VALUES[value].settings
    }


def check_enough(
    values: Sequence[str], settings: Settings, field: str, count: int, generated: bool
) -> None:
    """Refuse fewer images than these values can be computed from.

    Args:
        values: Their names.
        settings: Their settings.
        field: What the message calls the number of images.
        count: The number.
        generated: Whether these are generated images; the Inception Score is of those only.

    Raises:
        ConfigError: There are fewer images than splits, not more (of those kept) than
            neighbours, or a single one for the kernel distance.
    """
    if generated and 'is' in values and count < settings.is_splits:
        raise ConfigError(f'is_splits={settings.is_splits} must be at most {field}={count}')
    compared = min(count, settings.kept)
    if 'kid' in values and compared < SMALLEST_COUNT:
        raise ConfigError(f'values: kid needs at least {SMALLEST_COUNT} images, {field}={count}')
    if 'pr' in values and settings.neighbours >= compared:
        raise ConfigError(
            f'neighbours={settings.neighbours} must be below the number of images compared, '
            f'{compared} ({field}={count}, kept={settings.kept})'
        )


def few_images(values: Sequence[str], features: int, **counts: float | None) -> str | None:
    """Says that a FID is of too few images for a regular covariance.

    Args:
        values: Names of values.
        features: Number of features.
        **counts: Number of images by name, such as ``n_real``; None and NaN are unknown.

    Returns:
        One line; None where there is nothing to say.
    """
    few = [f'{name} {count:g}' for name, count in counts.items() if count and count <= features]
    if 'fid' not in values or not few:
        return None
    return (
        f'fid: {" and ".join(few)}, no more images than features ({features}): such a FID is too '
        'high and compares with those of the same numbers only; kid does not have this bias'
    )


def needs_of(values: Sequence[str]) -> frozenset[str]:
    """What these values need of the generated images."""
    return frozenset().union(*(VALUES[name].needs for name in values))


def needs_of_real(values: Sequence[str]) -> frozenset[str]:
    """What these values need of the real images."""
    return frozenset().union(*(VALUES[name].needs_real for name in values))


def uses_real(values: Sequence[str]) -> bool:
    """Whether any of these values looks at real images."""
    return any(VALUES[name].uses_real for name in values)
