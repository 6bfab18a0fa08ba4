"""The metrics of GANs: several values from one generation and one feature pass."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmagic.evaluation.metrics.base_gen_metric import GenerativeMetric
from mmagic.registry import METRICS
from mmengine.dist import broadcast_object_list, get_dist_info, is_main_process
from mmengine.logging import MessageHub, print_log
from torch import nn
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import (
    build_extractor,
    can_classify,
    description,
    extractor_name,
    short_name,
)
from rggan_mm.evaluation.heartbeat import Heartbeat
from rggan_mm.evaluation.images import to_rgb01
from rggan_mm.evaluation.memorisation import not_of_training
from rggan_mm.evaluation.protocol import check_count, describe
from rggan_mm.evaluation.reference import Reals, build_reference
from rggan_mm.evaluation.reports import Reports, how_measured
from rggan_mm.evaluation.settings import Settings
from rggan_mm.evaluation.statistics import Collector, Statistics
from rggan_mm.evaluation.values import (
    VALUES,
    check_enough,
    check_values,
    few_images,
    needs_of,
    uses_real,
)

SAMPLE_MODELS = ('ema', 'orig')
IS_WHEN = ('always', 'best')


@METRICS.register_module()
class GANMetrics(GenerativeMetric):
    """FID, Inception Score, kernel distance, precision and recall of a generator.

    Every generated image is made once and goes through the feature extractor once,
    whatever values are asked for; real images do so once a run, or not at all where their
    statistics are in the cache. Memory does not grow with the number of images, but for
    ``kid``, ``pr`` and ``memorisation``, which keep features of at most ``kept`` of either kind.

    ================ ================================= =================================
    value            names in the result               source
    ================ ================================= =================================
    ``fid``          ``fid``                           Heusel et al., NeurIPS 2017
    ``is``           ``is``, ``is_std``                Salimans et al., NIPS 2016
    ``kid``          ``kid``, ``kid_std`` (of several) Binkowski et al., ICLR 2018
    ``pr``           ``precision``, ``recall``         Kynkaanniemi et al., NeurIPS 2019
    ``pr``           ``density``, ``coverage``         Naeem et al., ICML 2020
    ``memorisation`` ``memorisation``                  after Meehan et al., AISTATS 2020
    ================ ================================= =================================

    Unless the extractor is the Inception network of the literature the numbers are not
    those of the literature; the keys say whose they are (``digits/fid``). Precision,
    recall, density and coverage were published with features of VGG-16 (with 3 and with 5
    neighbours); with another extractor they compare among themselves. Beside its values
    every result names the protocol, so that a number is never seen without it::

        inception/fid: 12.3  inception/n_real: 10000.0  inception/n_fake: 10000.0
        inception/protocol/inception-2015-12-05_bilinear_299_vs_CIFAR10_test: 1.0
        inception/reference: CIFAR10 test  inception/extractor: inception-2015-12-05
        inception/resize: bilinear 299

    MMEngine's log line shows all of these. During training it gives only numbers to
    its visualisation backends (``scalars.json``, TensorBoard); that is why one number
    has the names in its key. Counts are floats because MMEngine writes integers as
    ``null`` into the JSON file of a test. A training that diverged gives NaN or inf, which
    is logged; it does not stop the run.

    Under several processes each has an equal share of the images (one more for the
    first ones where it does not divide), so totals are exact.

    Args:
        values: One or more of the values above. Default: ``('fid', 'is')``.
        fake_nums: Number of generated images, at least 2. Default: 10,000.
        real_nums: Number of real images, the first ones of the validation set, at least
            2; -1 is all of them. Default: -1.
        extractor: As for :func:`build_extractor`. Default: ``'inception'``.
        sample_model: ``'ema'`` for the averaged generator, ``'orig'`` for the one in
            training. Default: ``'ema'``.
        is_when: ``'always'``, or ``'best'`` to report the Inception Score only where the
            FID is the lowest so far, as the published code does. Default: ``'always'``.
        real_stats: File with ready-made statistics of the real images (``.npz`` with
            ``mu`` and ``sigma``, the format of pytorch-fid), in place of the validation
            images. ``n_real`` is then the file's ``n``, else ``real_nums``, else NaN.
            Default: None.
        cache_dir: Folder for statistics of real images; None keeps none; ``'auto'`` is
            ``$XDG_CACHE_HOME/rggan_mm/real_statistics`` (``~/.cache/...``).
            Default: ``'auto'``.
        prefix: First part of the metric's keys; None is the extractor's short name.
            Default: None.
        reference: Name of the real images; None derives it from data set or file.
            Default: None.
        reports: Data sets, by a name, with which the same generated images are compared as
            well, such as ``{'held_out': dict(type='Digits', ..., indices=-180)}``. Their numbers
            (``held_out/fid``) are logged and recorded, and nothing follows them unless it names
            them. Default: None.
        **settings: Fields of :class:`Settings`: ``kept``, ``is_splits``, ``kid_subsets``,
            ``kid_subset_size``, ``neighbours``.

    Raises:
        ConfigError: A bad argument, at construction; in :meth:`check` and :meth:`prepare`: the
            model has no averaged generator, the data set has fewer images than ``real_nums``,
            or the file's statistics do not fit the extractor.
    """

    protocol_names = ('n_real', 'n_fake', 'reference')

    def __init__(
        self,
        values: Sequence[str] = ('fid', 'is'),
        fake_nums: int = 10_000,
        real_nums: int = -1,
        extractor: str | dict | nn.Module = 'inception',
        sample_model: str = 'ema',
        is_when: str = 'always',
        real_stats: str | None = None,
        cache_dir: str | None = 'auto',
        prefix: str | None = None,
        reference: str | None = None,
        reports: Mapping[str, dict] | None = None,
        **settings: int,
    ):
        self.values = check_values(values)
        self.settings = Settings.of(settings)
        self._check_counts(fake_nums, real_nums)
        _check_choice('sample_model', sample_model, SAMPLE_MODELS)
        _check_choice('is_when', is_when, IS_WHEN)
        if is_when == 'best' and 'fid' not in self.values:
            raise ConfigError(f"is_when='best' needs 'fid' among values, but got {values!r}")
        self.is_when = is_when
        self._warned: set[str] = set()
        self.extractor = build_extractor(extractor)
        self._check_classes()
        super().__init__(
            fake_nums,
            real_nums,
            sample_model=sample_model,
            prefix=prefix or short_name(self.extractor),
        )
        self._of_reals = [name for name in self.values if uses_real([name])]
        about = (self.extractor, self.values, self.settings)
        self.reference = build_reference(real_stats, cache_dir, *about, real_nums, name=reference)
        self.reports = Reports(
            reports or {}, self.prefix, lambda: build_reference(None, cache_dir, *about)
        )

    @property
    def metric_names(self) -> list[str]:
        """Keys that every :meth:`evaluate` will give, known ahead of the first one."""
        sure = [name for name in self.values if name != 'is' or self.is_when == 'always']
        names = [name for value in sure for name in VALUES[value].names]
        names += [*self.protocol_names, *description(self.extractor)]
        return [f'{self.prefix}/{name}' for name in names]

    @torch.no_grad()
    def check(self, module: nn.Module, dataloader: DataLoader) -> None:
        """Refuse what :meth:`prepare`, with the same arguments, would; reads one image."""
        self._check_model(module)
        self.extractor.to(module.data_preprocessor.device)
        self._warn(self.reference.look(module.data_preprocessor, dataloader))
        self.reports.look(module.data_preprocessor, dataloader)

    @torch.no_grad()
    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        """Get to know the real images; MMagic's loops call this once, ahead of generating.

        Args:
            module: The model, without a distributed wrapper.
            dataloader: The validation loader; its sampler is not used.
        """
        super().prepare(module, dataloader)
        self._check_model(module)
        self.extractor.to(self.data_preprocessor.device)
        self._real = self.reference.read(self.data_preprocessor, dataloader)
        self._reported = self.reports.read(self.data_preprocessor, dataloader)
        self._warn(self._real)
        self._start_fakes()

    def _warn(self, real: Reals) -> None:
        counts = {'n_real': real.count, 'n_fake': float(self.fake_nums)}
        reported = [describe(images, len(images)) for images in self.reports.datasets.values()]
        lines = {few_images(self.values, real.space.dim, **counts)}
        lines.add(not_of_training(self.values, real.name, reported))
        for line in sorted(filter(None, lines - self._warned)):
            self._warned.add(line)
            print_log(f'GANMetrics: {line}', 'current', logging.WARNING)

    def _start_fakes(self) -> None:
        rank, world = get_dist_info()
        self._share = torch.arange(rank, self.fake_nums, world)
        self._taken = 0
        self._heartbeat = Heartbeat('generated images')
        space = self._real.space
        needs = needs_of(self.values)
        self._fake = Collector(self.extractor, space, self.fake_nums, needs, self.settings)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take in generated images until this process has its share.

        Args:
            data_batch: Not used.
            data_samples: One dict an image with ``fake_img``, 0..255, shape (C, H, W).
        """
        indices = self._share[self._taken : self._taken + len(data_samples)]
        if len(indices) == 0:  # MMagic's sampler gives up to one batch too many
            return
        images = torch.stack([sample['fake_img'] for sample in data_samples[: len(indices)]])
        images = to_rgb01(images.to(self._real.space.device), self._real.channel_order)
        self._fake.add(images, indices)
        self._taken += len(indices)
        self._heartbeat.tell(self._taken, len(self._share))

    def evaluate(self) -> dict:
        """Compute the values from what was taken in, and be ready for the next round.

        Returns:
            The same dict on all processes: values, numbers of images, names of
            reference, extractor and resize, each under ``prefix/``.
        """
        fake = self._fake.finish()
        results = [self._results_or_error(fake) if is_main_process() else None]
        self._start_fakes()
        # Devices may differ in the last digit; decisions taken on it must not.
        broadcast_object_list(results)
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def _results_or_error(self, fake: Statistics) -> dict | Exception:
        try:
            return self._results(fake)
        except Exception as error:  # the other processes wait: they have to hear of it
            return error

    def _results(self, fake: Statistics) -> dict:
        results = {}
        for prefix, real in {self.prefix: self._real, **self._reported}.items():
            found = self._against(real, fake, deciding=prefix == self.prefix)
            results.update({f'{prefix}/{name}': value for name, value in found.items()})
        return results

    def _against(self, real: Reals, fake: Statistics, deciding: bool) -> dict:
        found = {}
        for name in self.values if deciding else self._of_reals:
            if name != 'is' or self.is_when == 'always' or self._is_best(found['fid']):
                found.update(VALUES[name].compute(real.statistics, fake, self.settings))
        found.update(how_measured(real, fake, self.values, self.settings, self.extractor))
        return found

    def _is_best(self, fid: float) -> bool:
        """Whether no lower FID was seen; what is best goes with the checkpoints."""
        hub, key = MessageHub.get_current_instance(), f'{self.prefix}/lowest_fid'
        lowest = hub.runtime_info.get(key, float('inf'))
        if not fid < lowest:
            # MMEngine's log line would repeat the last score as if it were this one's.
            for name in VALUES['is'].names:
                for table in (hub.log_scalars, hub._resumed_keys):
                    table.pop(f'val/{self.prefix}/{name}', None)
            return False
        hub.update_info(key, fid)
        return True

    def _check_counts(self, fake_nums: int, real_nums: int) -> None:
        check_count('fake_nums', fake_nums)
        if real_nums != -1:
            check_count('real_nums', real_nums, ' or -1 for all')
        check_enough(self.values, self.settings, 'fake_nums', fake_nums, generated=True)

    def _check_classes(self) -> None:
        if 'is' in self.values and not can_classify(self.extractor):
            raise ConfigError(
                f"values={list(self.values)}: 'is' needs an extractor with a method "
                f'classify(features), which {extractor_name(self.extractor)} has not'
            )

    def _check_model(self, module: nn.Module) -> None:
        has_ema = getattr(module, 'with_ema_gen', hasattr(module, 'generator_ema'))
        if self.sample_model == 'ema' and not has_ema:
            raise ConfigError(
                f"sample_model='ema', but {type(module).__name__} has no averaged generator: "
                "set sample_model='orig' or give the model an ema_config"
            )


def _check_choice(field: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f'{field} must be one of {", ".join(choices)}, but got {value!r}')
