"""What all metrics on features of images have in common."""

from collections.abc import Sequence
from typing import Any

import torch
from mmagic.evaluation.metrics.base_gen_metric import GenerativeMetric
from mmengine.dist import broadcast_object_list, get_dist_info, is_main_process
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import build_extractor, extractor_name, short_name
from rggan_mm.evaluation.images import real_batches, to_rgb01
from rggan_mm.evaluation.moments import FeatureMoments
from rggan_mm.evaluation.protocol import check_count, count_real, describe, protocol_key

SAMPLE_MODELS = ('ema', 'orig')


class FeatureMetric(GenerativeMetric):
    """Feeds features of real and generated images to a metric, each image once.

    MMagic's evaluator and loops drive it like any of MMagic's metrics. A subclass gives
    ``value_names``, :meth:`new_accumulator` and :meth:`compare`. Beside its values every
    result names the protocol, so that a number is never seen without it::

        digits/fid: 12.3  digits/n_real: 360.0  digits/n_fake: 2000.0
        digits/protocol/digits-v1_vs_Digits_test: 1.0
        digits/reference: Digits test  digits/extractor: digits-v1

    MMEngine's log line shows all of these. During training it gives only numbers to
    its visualisation backends (``scalars.json``, TensorBoard); that is why one number
    has the two names in its key. Counts are floats because MMEngine writes integers as
    ``null`` into the JSON file of a test.

    Under several processes each has an equal share of the images (one more for the
    first ones where it does not divide), so totals are exact.

    Args:
        fake_nums: Number of generated images, at least 2.
        real_nums: Number of real images, the first ones of the validation set, at least
            2; -1 is all of them. Default: -1.
        extractor: As for :func:`build_extractor`. Default: ``'digits'``.
        sample_model: ``'ema'`` for the averaged generator, ``'orig'`` for the one in
            training. Default: ``'ema'``.
        prefix: First part of the metric's keys; None is the extractor's short name.
            Default: None.
        reference: Name of the real images; None derives it from the data set.
            Default: None.

    Raises:
        ConfigError: A bad argument, at construction; in :meth:`prepare`: the model has no
            averaged generator, or the data set has fewer images than ``real_nums``.
    """

    value_names: Sequence[str] = ()
    protocol_names = ('n_real', 'n_fake', 'reference', 'extractor')

    def __init__(
        self,
        fake_nums: int,
        real_nums: int = -1,
        extractor: str | dict | nn.Module = 'digits',
        sample_model: str = 'ema',
        prefix: str | None = None,
        reference: str | None = None,
    ):
        check_count('fake_nums', fake_nums)
        if real_nums != -1:
            check_count('real_nums', real_nums, ' or -1 for all')
        if sample_model not in SAMPLE_MODELS:
            raise ConfigError(f"sample_model must be 'ema' or 'orig', but got {sample_model!r}")
        self.extractor = build_extractor(extractor)
        super().__init__(
            fake_nums,
            real_nums,
            sample_model=sample_model,
            prefix=prefix or short_name(self.extractor),
        )
        self.reference = reference

    @property
    def metric_names(self) -> list[str]:
        """Keys that :meth:`evaluate` will give, known ahead of the first evaluation."""
        return [f'{self.prefix}/{name}' for name in (*self.value_names, *self.protocol_names)]

    def new_accumulator(self, dim: int, device: torch.device) -> FeatureMoments:
        """What takes in features of D = ``dim`` numbers: update, all_reduce and count."""
        raise NotImplementedError

    def compare(self, real: FeatureMoments, fake: FeatureMoments) -> dict[str, float]:
        """The values, under :attr:`value_names`, from what all processes took in."""
        raise NotImplementedError

    @torch.no_grad()
    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        """Read the real images; MMagic's loops call this once, ahead of generating.

        Args:
            module: The model, without a distributed wrapper.
            dataloader: The validation loader; its sampler is not used.
        """
        super().prepare(module, dataloader)
        self._check_model(module)
        self.extractor.to(self.data_preprocessor.device)
        total = count_real(self.real_nums, dataloader.dataset)
        self.reference_name = self.reference or describe(dataloader.dataset, total)
        self._read_real(dataloader, total)
        self._start_fakes()

    def _read_real(self, dataloader: DataLoader, total: int) -> None:
        rank, world = get_dist_info()
        share = range(rank, total, world)
        self._real = None
        # A process without a share reads one image too, to know the channel order and D.
        for images, order in real_batches(self.data_preprocessor, dataloader, share or [0]):
            self._channel_order = order
            features = self._features(images)
            if self._real is None:
                self._real = self.new_accumulator(features.size(1), features.device)
            self._real.update(features[: len(share)])
        self._dim, self._device = features.size(1), features.device
        self._real.all_reduce()

    def _start_fakes(self) -> None:
        rank, world = get_dist_info()
        self._fakes_left = len(range(rank, self.fake_nums, world))
        self._fake = self.new_accumulator(self._dim, self._device)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take in generated images until this process has its share.

        Args:
            data_batch: Not used.
            data_samples: One dict an image with ``fake_img``, 0..255, shape (C, H, W).
        """
        if self._fakes_left == 0:  # MMagic's sampler gives up to one batch too many
            return
        images = [sample['fake_img'] for sample in data_samples[: self._fakes_left]]
        self._fake.update(self._features(torch.stack(images).to(self._device)))
        self._fakes_left -= len(images)

    def evaluate(self) -> dict:
        """Compute the metric from what was taken in, and be ready for the next round.

        Returns:
            The same dict on all processes: values, numbers of images, names of
            reference and extractor, each under ``prefix/``.
        """
        self._fake.all_reduce()
        results = [self._results() if is_main_process() else None]
        self._start_fakes()
        # Devices may differ in the last digit; decisions taken on it must not.
        broadcast_object_list(results)
        return results[0]

    def _results(self) -> dict:
        extractor = extractor_name(self.extractor)
        results = {
            **self.compare(self._real, self._fake),
            'n_real': float(self._real.count),
            'n_fake': float(self._fake.count),
            protocol_key(extractor, self.reference_name): 1.0,
            'reference': self.reference_name,
            'extractor': extractor,
        }
        return {f'{self.prefix}/{name}': value for name, value in results.items()}

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        return self.extractor(to_rgb01(images, self._channel_order))

    def _check_model(self, module: nn.Module) -> None:
        has_ema = getattr(module, 'with_ema_gen', hasattr(module, 'generator_ema'))
        if self.sample_model == 'ema' and not has_ema:
            raise ConfigError(
                f"sample_model='ema', but {type(module).__name__} has no averaged generator: "
                "set sample_model='orig' or give the model an ema_config"
            )
