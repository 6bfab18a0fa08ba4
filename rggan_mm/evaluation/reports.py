"""Real images that only report: no decision of a run looks at them."""

from collections.abc import Callable, Mapping

from mmagic.registry import DATASETS
from torch import nn
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import description
from rggan_mm.evaluation.protocol import protocol_key
from rggan_mm.evaluation.reference import Reals, Reference
from rggan_mm.evaluation.settings import Settings
from rggan_mm.evaluation.statistics import FEATURES, Statistics
from rggan_mm.evaluation.values import needs_of, settings_used


class Reports:
    """Data sets of their own, beside the one of the validation loader.

    Args:
        datasets: Their configs by name.
        prefix: Name of the metric, which none of them may have.
        reference: Makes what reads the images of one of them.

    Raises:
        ConfigError: A data set has the metric's name.
    """

    def __init__(
        self, datasets: Mapping[str, dict], prefix: str, reference: Callable[[], Reference]
    ):
        if prefix in datasets:
            raise ConfigError(f'reports: {prefix!r} is the name of the metric itself')
        self.datasets = {name: DATASETS.build(dict(given)) for name, given in datasets.items()}
        self.references = {name: reference() for name in datasets}

    def look(self, preprocessor: nn.Module, dataloader: DataLoader) -> None:
        """As :meth:`Reference.look`, with the loader's batch size and workers."""
        for name, reference in self.references.items():
            reference.look(preprocessor, self._loader(name, dataloader))

    def read(self, preprocessor: nn.Module, dataloader: DataLoader) -> dict[str, Reals]:
        """As :meth:`Reference.read`, with the loader's batch size and workers."""
        return {
            name: reference.read(preprocessor, self._loader(name, dataloader))
            for name, reference in self.references.items()
        }

    def _loader(self, name: str, like: DataLoader) -> DataLoader:
        workers = like.num_workers
        return DataLoader(self.datasets[name], batch_size=like.batch_size, num_workers=workers)


def how_measured(
    real: Reals, fake: Statistics, values: list[str], settings: Settings, extractor: nn.Module
) -> dict[str, float | str]:
    """What stands beside the values: numbers of images, settings and names."""
    made, kept = description(extractor), {}
    if FEATURES in needs_of(values):
        kept = {
            'kept_real': float(len(real.statistics.features)),
            'kept_fake': float(len(fake.features)),
        }
    return {
        'n_real': real.count,
        'n_fake': float(fake.count),
        **kept,
        **settings_used(values, settings),
        protocol_key(made['extractor'], made['resize'], real.name): 1.0,
        'reference': real.name,
        **made,
    }
