"""The real side of a comparison: images of a data set, or statistics from a file."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, get_dist_info, is_main_process
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import made_by
from rggan_mm.evaluation.heartbeat import Heartbeat
from rggan_mm.evaluation.images import real_batches, to_rgb01
from rggan_mm.evaluation.protocol import count_real, describe
from rggan_mm.evaluation.real_cache import (
    FORMAT,
    RealCache,
    default_folder,
    pixel_hash,
    preprocessor_state,
)
from rggan_mm.evaluation.settings import Settings
from rggan_mm.evaluation.statistics import FEATURES, Collector, FeatureSpace, Statistics
from rggan_mm.evaluation.statistics_file import check_made_by, file_reference, read_statistics
from rggan_mm.evaluation.values import check_enough, needs_of_real, uses_real

SAMPLED = 8  # images that tell one preprocessor from another


@dataclass
class Reals:
    """What a metric knows of the real images.

    Attributes:
        statistics: On the main process; None on others, and where no value needs them.
        count: Number of images as ``n_real`` reports it; NaN if unknown.
        name: Their name.
        space: Sizes of what the extractor gives.
        channel_order: Order of the model's images: ``'RGB'``, ``'BGR'`` or ``'single'``.
        shape: Shape of one of them, (C, H, W).
    """

    statistics: Statistics | None
    count: float
    name: str
    space: FeatureSpace
    channel_order: str
    shape: torch.Size


class Reference:
    """Reads the real images of a validation loader, or finds their statistics in the cache.

    Args:
        extractor: Feature extractor.
        values: Values that will be computed.
        settings: Their settings.
        real_nums: Number of images, -1 for all.
        cache: Where statistics are kept, or None.
        name: Name of the images, or None to derive it from the data set.
    """

    def __init__(
        self,
        extractor: nn.Module,
        values: Sequence[str],
        settings: Settings,
        real_nums: int = -1,
        cache: RealCache | None = None,
        name: str | None = None,
    ):
        self.extractor = extractor
        self.values = values
        self.used = uses_real(values)
        self.needs = needs_of_real(values)
        self.settings = settings
        self.real_nums = real_nums
        self.cache = cache
        self.name = name

    def look(self, preprocessor: nn.Module, dataloader: DataLoader) -> Reals:
        """What the first image tells, and whether there are enough of them.

        Args:
            preprocessor: The model's data preprocessor.
            dataloader: The validation loader; its sampler is not used.

        Returns:
            All but the statistics.

        Raises:
            ConfigError: There are fewer images than asked for, or than the values need.
        """
        total = count_real(self.real_nums, dataloader.dataset) if self.used else 0
        if self.used:
            check_enough(self.values, self.settings, 'real_nums', total, generated=False)
        name = self.name or (describe(dataloader.dataset, total) if self.used else 'none')
        return Reals(None, float(total), name, *self._probe(preprocessor, dataloader))

    def _probe(
        self, preprocessor: nn.Module, dataloader: DataLoader
    ) -> tuple[FeatureSpace, str, torch.Size]:
        images, order = next(real_batches(preprocessor, dataloader, [0], num_workers=0))
        space = FeatureSpace.probe(self.extractor, to_rgb01(images, order))
        return space, order, images.shape[1:]

    def read(self, preprocessor: nn.Module, dataloader: DataLoader) -> Reals:
        """Statistics of the real images; each image goes through the extractor once.

        Args:
            preprocessor: The model's data preprocessor.
            dataloader: The validation loader; its sampler is not used.

        Raises:
            ConfigError: As in :meth:`look`.
        """
        reals = self.look(preprocessor, dataloader)
        if self.used:
            total = int(reals.count)
            chosen = _Chosen(preprocessor, dataloader, total, reals.name, reals.shape)
            reals.statistics = self._statistics(chosen, reals.space)
        return reals

    def _statistics(self, chosen: '_Chosen', space: FeatureSpace) -> Statistics | None:
        key = found = None
        if is_main_process() and self.cache is not None:
            key = self._key(chosen)
            found = self.cache.read(key)
        hit = [found is not None]
        broadcast_object_list(hit)
        where = f'found in {self.cache.folder}' if hit[0] else 'computed now'
        print_log(f'GANMetrics: statistics of {chosen.name}, n={chosen.total}: {where}', 'current')
        if hit[0]:
            return found and to_device(found, space.device)
        statistics = self._collect(chosen, space)
        # Random transforms give other images each time, so their numbers are not kept.
        if key and key == self._key(chosen):
            self.cache.write(key, statistics)
        return statistics

    def _collect(self, chosen: '_Chosen', space: FeatureSpace) -> Statistics:
        rank, world = get_dist_info()
        share = torch.arange(rank, chosen.total, world)
        collector = Collector(self.extractor, space, chosen.total, self.needs, self.settings)
        taken, heartbeat = 0, Heartbeat('real images')
        if len(share):
            for images, order in chosen.batches(share.tolist()):
                indices = share[taken : taken + len(images)]
                collector.add(to_rgb01(images.to(space.device), order), indices)
                taken += len(images)
                heartbeat.tell(taken, len(share))
        return collector.finish()

    def _key(self, chosen: '_Chosen') -> dict[str, Any]:
        """Everything that changes the statistics, as plain JSON values."""
        return {
            **chosen.key(),
            **made_by(self.extractor),
            'kept': self.settings.kept if FEATURES in self.needs else 0,
        }


@dataclass
class _Chosen:
    """Real images as they will be read: the first ``total`` of a loader's data set."""

    preprocessor: nn.Module
    dataloader: DataLoader
    total: int
    name: str
    shape: torch.Size

    def batches(self, indices: Sequence[int]) -> Iterator[tuple[Tensor, str]]:
        return real_batches(self.preprocessor, self.dataloader, indices)

    def _seen_pixels(self) -> str:
        """Hash of a few images, spread over the set, as the extractor will see them."""
        digest = hashlib.sha256()
        spread = sorted({index * self.total // SAMPLED for index in range(SAMPLED)})
        for images, order in real_batches(
            self.preprocessor, self.dataloader, spread, num_workers=0
        ):
            pixels = (to_rgb01(images, order) * 255).round().clamp(0, 255).byte()
            digest.update(f'{tuple(pixels.shape)}'.encode() + pixels.cpu().numpy().tobytes())
        return digest.hexdigest()

    def key(self) -> dict[str, Any]:
        """What these images are, as plain JSON values."""
        return {
            'format': FORMAT,
            'dataset': type(self.dataloader.dataset).__name__,
            'reference': self.name,
            'images': pixel_hash(self.dataloader, self.total),
            'seen': self._seen_pixels(),
            'n': self.total,
            'resolution': list(self.shape),
            'preprocessor': preprocessor_state(self.preprocessor),
        }


class FileReference(Reference):
    """Takes the statistics from a ``.npz`` file.

    The data set is asked for nothing but the order of channels.

    Args:
        path: The file.
        *args: As for :class:`Reference`.
        **kwargs: As for :class:`Reference`.

    Raises:
        ConfigError: At construction: no such file, another format, or no features (or too
            few) where ``kid`` or ``pr`` need them; at :meth:`look`: another number of features.
    """

    def __init__(self, path: str, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.path = Path(path).expanduser()
        self.statistics, key = read_statistics(self.path)
        check_made_by(f'real_stats={path}', key, self.extractor)
        if FEATURES in self.needs and self.statistics.features is None:
            raise ConfigError(
                f'real_stats={path}: the file has no features, which kid, pr and memorisation '
                'need; leave them out of values, or leave real_stats out'
            )
        if FEATURES in self.needs:
            kept = len(self.statistics.features)
            field = f'features in real_stats={path}'
            check_enough(self.values, self.settings, field, kept, generated=False)
        self.name = self.name or file_reference(self.path)

    def look(self, preprocessor: nn.Module, dataloader: DataLoader) -> Reals:
        """The file's statistics, on the extractor's device."""
        space, *about = self._probe(preprocessor, dataloader)
        check_dim(f'real_stats={self.path}', self.statistics, space)
        statistics = to_device(self.statistics, space.device)
        return Reals(statistics, self._count(), self.name, space, *about)

    def read(self, preprocessor: nn.Module, dataloader: DataLoader) -> Reals:
        """The same: there is nothing more to read."""
        return self.look(preprocessor, dataloader)

    def _count(self) -> float:
        stated = None if self.real_nums == -1 else self.real_nums
        count = self.statistics.count or stated
        return float('nan') if count is None else float(count)


def build_reference(
    real_stats: str | None, cache_dir: str | None, *args: Any, **kwargs: Any
) -> Reference:
    """The real side that a metric's arguments ask for.

    Args:
        real_stats: File with statistics, or None for the validation images.
        cache_dir: Folder of the cache, ``'auto'`` for the default, None for no cache.
        *args: As for :class:`Reference`.
        **kwargs: As for :class:`Reference`.
    """
    if real_stats is not None:
        return FileReference(real_stats, *args, **kwargs)
    folder = default_folder() if cache_dir == 'auto' else cache_dir
    return Reference(*args, cache=folder and RealCache(folder), **kwargs)


def check_dim(field: str, statistics: Statistics, space: FeatureSpace) -> None:
    """Refuse statistics of other features than the extractor's.

    Raises:
        ConfigError: The number of features differs.
    """
    if len(statistics.mean) != space.dim:
        raise ConfigError(
            f'{field}: its statistics have {len(statistics.mean)} features, '
            f'the extractor gives {space.dim}'
        )


def to_device(statistics: Statistics, device: torch.device) -> Statistics:
    """The same statistics on another device; float64 stays float64."""
    features = statistics.features
    return Statistics(
        statistics.count,
        statistics.mean.to(device),
        statistics.cov.to(device),
        None if features is None else features.to(device),
        statistics.score,
    )
