"""Compares two sets of images, or statistics of such, with the metrics of a training run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import can_classify, extractor_name, resize_name
from rggan_mm.evaluation.reference import check_dim, to_device
from rggan_mm.evaluation.settings import Settings
from rggan_mm.evaluation.statistics import CLASSES, FEATURES, Collector, FeatureSpace, Statistics
from rggan_mm.evaluation.statistics_file import file_reference, read_statistics
from rggan_mm.evaluation.values import VALUES, check_values, needs_of, needs_of_real


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
        self.statistics, _ = read_statistics(path)
        self.name = file_reference(path)


def compare(
    reference: Source | StatisticsSource,
    generated: Source | StatisticsSource,
    extractor: nn.Module,
    values: Sequence[str] = ('fid',),
    settings: Settings | None = None,
    device: torch.device = 'cpu',
) -> tuple[dict, tuple[Statistics, Statistics]]:
    """Values and protocol for two sets; each image goes through the extractor once.

    Args:
        reference: The real side.
        generated: The side that is judged; the Inception Score is its.
        extractor: Feature extractor.
        values: As for :class:`GANMetrics`. Default: ``('fid',)``.
        settings: Settings of the values; None is the defaults. Default: None.
        device: Where to compute. Default: ``'cpu'``.

    Returns:
        Values with ``n_real``, ``n_fake`` (None where a file does not say), ``reference``,
        ``generated``, ``extractor`` and ``resize``; and the statistics of both sets.

    Raises:
        ConfigError: A value that a statistics file or the extractor cannot give.
    """
    values, settings = check_values(values), settings or Settings()
    if 'is' in values and not can_classify(extractor):
        raise ConfigError(f"values: 'is' needs classes, which {extractor_name(extractor)} has not")
    for source, needs in ((reference, needs_of_real(values)), (generated, needs_of(values))):
        _check_source(source, needs)
    extractor.to(device)
    real = _statistics(reference, extractor, needs_of_real(values), settings, device)
    fake = _statistics(generated, extractor, needs_of(values), settings, device)
    results = {}
    for name in values:
        results.update(VALUES[name].compute(real, fake, settings))
    results.update(
        n_real=real.count,
        n_fake=fake.count,
        reference=reference.name,
        generated=generated.name,
        extractor=extractor_name(extractor),
        resize=resize_name(extractor),
    )
    return results, (real, fake)


def _check_source(source: Source | StatisticsSource, needs: frozenset[str]) -> None:
    if not isinstance(source, StatisticsSource):
        return
    if CLASSES in needs:
        raise ConfigError(f"values: 'is' needs images, but {source.path} holds statistics")
    if FEATURES in needs and source.statistics.features is None:
        raise ConfigError(
            f'values: kid and pr need features, which {source.path} has not; '
            'give the images themselves'
        )


def _statistics(
    source: Source | StatisticsSource,
    extractor: nn.Module,
    needs: frozenset[str],
    settings: Settings,
    device: torch.device,
) -> Statistics:
    if isinstance(source, StatisticsSource):
        space = FeatureSpace.probe(extractor, torch.zeros(1, 3, 32, 32, device=device))
        check_dim(source.name, source.statistics, space)
        return to_device(source.statistics, device)
    collector, taken = None, 0
    for images in source.batches():
        images = images.to(device)
        if collector is None:
            space = FeatureSpace.probe(extractor, images[:1])
            collector = Collector(extractor, space, len(source), needs, settings)
        collector.add(images, torch.arange(taken, taken + len(images)))
        taken += len(images)
    return collector.finish()
