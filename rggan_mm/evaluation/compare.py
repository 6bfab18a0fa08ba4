"""Compares two sets of images, or statistics of such, with the metrics of a training run."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import can_classify, description, extractor_name, made_by
from rggan_mm.evaluation.reference import to_device
from rggan_mm.evaluation.settings import Settings
from rggan_mm.evaluation.statistics import CLASSES, FEATURES, Collector, FeatureSpace, Statistics
from rggan_mm.evaluation.statistics_file import check_made_by, file_reference, read_statistics
from rggan_mm.evaluation.values import (
    VALUES,
    check_enough,
    check_values,
    few_images,
    needs_of,
    needs_of_real,
    settings_used,
)


class Source(Protocol):
    """A set of images: its name, its size, and its images in batches."""

    name: str

    def __len__(self) -> int: ...

    def batches(self) -> Iterator[Tensor]:
        """RGB images in [0, 1], shape (N, 3, H, W)."""


class StatisticsSource:
    """Statistics in a ``.npz`` file in place of images.

    Args:
        path: The file.

    Raises:
        ConfigError: It is missing or of another format.
    """

    def __init__(self, path: Path):
        self.path = path
        self.statistics, self.key = read_statistics(path)
        self.name = file_reference(path)


def compare(
    reference: Source | StatisticsSource,
    generated: Source | StatisticsSource,
    extractor: nn.Module | None,
    values: Sequence[str] = ('fid',),
    settings: Settings | None = None,
    device: torch.device = 'cpu',
    follow: Callable[[Source], Iterator[Tensor]] | None = None,
) -> tuple[dict, tuple[Statistics, Statistics]]:
    """Values and protocol for two sets; each image goes through the extractor once.

    Args:
        reference: The real side.
        generated: The side that is judged; the Inception Score is its.
        extractor: Feature extractor; None will do where both sides are files.
        values: As for :class:`GANMetrics`. Default: ``('fid',)``.
        settings: Settings of the values; None is the defaults. Default: None.
        device: Where to compute. Default: ``'cpu'``.
        follow: Gives the batches of a source, such as one that shows progress; None takes
            ``source.batches()``. Default: None.

    Returns:
        Values with ``n_real``, ``n_fake`` (None where a file does not say), ``reference``,
        ``generated``, ``extractor``, ``resize`` and, where it has one, ``note``; and the
        statistics of both sets.

    Raises:
        ConfigError: A value that a statistics file or the extractor cannot give.
    """
    values, settings = check_values(values), settings or Settings()
    _check_sources(reference, generated, extractor, values)
    made = _protocol((reference, generated), extractor)
    if extractor is not None:
        extractor.to(device)
    gather = partial(_statistics, extractor, settings, device, follow)
    real = gather(reference, needs_of_real(values))
    fake = gather(generated, needs_of(values))
    _check_pair(real, fake, values, settings, f'{reference.name} and {generated.name}')
    if line := few_images(values, len(real.mean), n_real=real.count, n_fake=fake.count):
        warnings.warn(line, stacklevel=2)
    results = {}
    for name in values:
        results.update(VALUES[name].compute(real, fake, settings))
    results.update(
        n_real=real.count,
        n_fake=fake.count,
        reference=reference.name,
        generated=generated.name,
        **{name: made[name] for name in ('extractor', 'resize', 'note') if name in made},
        **settings_used(values, settings),
    )
    return results, (real, fake)


def _check_sources(
    reference: Source | StatisticsSource,
    generated: Source | StatisticsSource,
    extractor: nn.Module | None,
    values: Sequence[str],
) -> None:
    """Refuse what cannot work before any image is read."""
    for source, needs in ((reference, needs_of_real(values)), (generated, needs_of(values))):
        _check_source(source, needs)
    if 'is' in values and not can_classify(extractor):
        raise ConfigError(f"values: 'is' needs classes, which {extractor_name(extractor)} has not")


def _check_pair(
    real: Statistics, fake: Statistics, values: Sequence[str], settings: Settings, names: str
) -> None:
    """Refuse too few images, and features of two kinds."""
    if real.mean.shape != fake.mean.shape:
        sizes = f'{len(real.mean)} and {len(fake.mean)}'
        raise ConfigError(f'{names} have {sizes} features; one extractor must make both')
    check_enough(values, settings, 'n_real', real.count or settings.kept, generated=False)
    check_enough(values, settings, 'n_fake', fake.count or settings.kept, generated=True)


def _protocol(
    sources: Sequence[Source | StatisticsSource], extractor: nn.Module | None
) -> dict[str, str]:
    """Name, resize and note of what made the features, as far as anybody says.

    Raises:
        ConfigError: Two extractors made them.
    """
    keys = [source.key for source in sources if isinstance(source, StatisticsSource) and source.key]
    if extractor is not None:
        for source in sources:
            if isinstance(source, StatisticsSource):
                check_made_by(source.name, source.key, extractor)
        return {**made_by(extractor), **description(extractor)}
    notes = [key['note'] for key in keys if 'note' in key]
    made = {'note': notes[0]} if notes else {}
    for name in ('extractor', 'resize', 'weights'):
        said = {key[name] for key in keys if name in key}
        if len(said) > 1:
            raise ConfigError(f'the two files have features of two extractors: {name} differs')
        made[name] = next(iter(said), 'unknown')
    return made


def _check_source(source: Source | StatisticsSource, needs: frozenset[str]) -> None:
    if not isinstance(source, StatisticsSource):
        return
    if CLASSES in needs:
        raise ConfigError(f"values: 'is' needs images, but {source.path} holds statistics")
    if FEATURES in needs and source.statistics.features is None:
        raise ConfigError(
            f'values: kid, pr and memorisation need features, which {source.path} has not; '
            'give the images themselves'
        )


def _statistics(
    extractor: nn.Module | None,
    settings: Settings,
    device: torch.device,
    follow: Callable[[Source], Iterator[Tensor]] | None,
    source: Source | StatisticsSource,
    needs: frozenset[str],
) -> Statistics:
    if isinstance(source, StatisticsSource):
        return to_device(source.statistics, device)
    collector, taken = None, 0
    for images in follow(source) if follow else source.batches():
        images = images.to(device)
        if collector is None:
            space = FeatureSpace.probe(extractor, images[:1])
            collector = Collector(extractor, space, len(source), needs, settings)
        collector.add(images, torch.arange(taken, taken + len(images)))
        taken += len(images)
    return collector.finish()
