"""Training images that stay in memory, on the device that trains."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .batches import can_position, stop_persistent_workers
from .hook_base import CheckedHook
from .random_streams import streams_kept

_AT_ONCE = 256
# Transforms that make the same of an image each time.
_FIXED = ('PackInputs', 'LoadImageFromFile', 'ReadImageFile', 'Resize', 'CenterCrop')


@HOOKS.register_module()
class ResidentImagesHook(CheckedHook):
    """Reads a small data set once and keeps it on the device that trains.

    Batches hold the same images in the same order as without the hook, also after a resume.
    A run is left alone, with one line that says why, with several
    processes, where the pipeline draws at random, or where the images need more than
    ``most_megabytes``.

    Args:
        most_megabytes: The most that images may take, in 10^6 bytes. Defaults to 1000.
    """

    # Before ExactResumeHook, which places the data.
    priority = 'BELOW_NORMAL'

    def __init__(self, most_megabytes: float = 1000) -> None:
        self.most_megabytes = most_megabytes
        self._images: ResidentImages | None = None
        self._give_back: Callable[[], None] | None = None

    def before_train(self, runner: Runner) -> None:
        """Reads the images."""
        if self._images is not None:
            return  # it has begun anew, from a checkpoint of its own
        reason = _why_not(runner, self.most_megabytes)
        if reason:
            runner.logger.info(f'ResidentImagesHook: images stay where they are: {reason}')
            return
        loop, preprocessor = runner.train_loop, runner.model.data_preprocessor
        with streams_kept():
            self._images = ResidentImages.read(loop.dataloader, preprocessor)
        self._give_back = _let_pass(preprocessor, self._images)
        stop_persistent_workers(loop.dataloader)
        loop.dataloader = _places_of(loop.dataloader)
        loop.dataloader_iterator = _InfiniteDataloaderIterator(loop.dataloader)
        images = self._images.images
        runner.logger.info(f'ResidentImagesHook: {len(images)} images stay on {images.device}')

    def after_run(self, runner: Runner) -> None:
        """Gives the model its own data preprocessor and the loop its own data back."""
        # Not after_train, in which recorded steps still give back what they stood in for.
        if self._give_back is not None:
            self._give_back()
            runner.train_loop.dataloader = runner.train_loop.dataloader.dataset.loader
            self._images = self._give_back = None


class Places(Mapping):
    """A batch as places of its images in the data set.

    Who looks into it, a hook of the user's for one, finds what the loader would have given.

    Args:
        indices: int64, shape (B,).
        loader: What reads the images when they are asked for.
    """

    def __init__(self, indices: Tensor, loader: DataLoader) -> None:
        self.indices = indices
        self.loader = loader

    def pin_memory(self) -> 'Places':
        """What a data loader calls, so that a copy to a GPU does not wait."""
        return Places(self.indices.pin_memory(), self.loader)

    @cached_property
    def _read(self) -> dict:
        with streams_kept():
            return self.loader.collate_fn([self.loader.dataset[i] for i in self.indices.tolist()])

    def __getitem__(self, key: str) -> Any:
        return self._read[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


@dataclass
class ResidentImages:
    """A data set as the networks get it.

    Attributes:
        images: Shape (N, C, H, W), as the data preprocessor makes them.
        labels: Shape (N,); None where there are none.
        sample: The samples of one batch, whose class the networks get.
    """

    images: Tensor
    labels: Tensor | None
    sample: Any

    @classmethod
    def read(cls, loader: DataLoader, preprocessor: nn.Module) -> 'ResidentImages':
        """Reads all images of a loader's data set.

        Args:
            loader: The training data loader.
            preprocessor: The model's data preprocessor.
        """
        workers = {'num_workers': loader.num_workers, 'collate_fn': loader.collate_fn}
        ordered = DataLoader(loader.dataset, batch_size=_AT_ONCE, **workers)
        samples = [preprocessor(batch, True)['data_samples'] for batch in ordered]
        labelled = 'gt_label' in samples[0]
        labels = torch.cat([s.gt_label.label.flatten() for s in samples]) if labelled else None
        return cls(torch.cat([sample.gt_img for sample in samples]), labels, samples[0])

    def batch(self, places: Places) -> dict:
        """A batch as the data preprocessor would give it."""
        at = places.indices.to(self.images.device, non_blocking=True)
        sample = type(self.sample)()
        sample.gt_img = self.images.index_select(0, at)
        if self.labels is not None:
            sample.gt_label = type(self.sample.gt_label)(label=self.labels.index_select(0, at))
        return {'inputs': {}, 'data_samples': sample}


class _PlacesOf(Dataset):
    """Gives the place of each image in place of the image."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.dataset = loader.dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> int:
        return index


def _places_of(loader: DataLoader) -> DataLoader:
    if loader.batch_size is None:
        batches = {'batch_sampler': loader.batch_sampler}
    else:  # which hooks of MMagic read
        batches = {'batch_size': loader.batch_size, 'sampler': loader.sampler}
        batches['drop_last'] = loader.drop_last
    return DataLoader(
        _PlacesOf(loader),
        collate_fn=partial(_collate, loader=loader),
        pin_memory=torch.cuda.is_available(),
        **batches,
    )


def _collate(indices: list[int], loader: DataLoader) -> Places:
    return Places(torch.tensor(indices), loader)


def _let_pass(preprocessor: nn.Module, images: ResidentImages) -> Callable[[], None]:
    """Lets places through a data preprocessor; returns what undoes it."""
    forward = preprocessor.forward

    def resident(data: Any, training: bool = False) -> Any:
        return images.batch(data) if isinstance(data, Places) else forward(data, training)

    preprocessor.forward = resident
    return partial(vars(preprocessor).pop, 'forward')


def _why_not(runner: Runner, most_megabytes: float) -> str:
    loop, model = runner.train_loop, runner.model
    if is_model_wrapper(model):
        return 'several processes train'
    if not isinstance(loop, IterBasedTrainLoop) or not can_position(loop.dataloader):
        return 'the run does not count iterations or its images have no numbers'
    dataset = loop.dataloader.dataset
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', None)
    if transforms is None:
        return f'{type(dataset).__name__} has no pipeline to look at'
    for transform in transforms:
        if not _is_fixed(transform):
            return f'{type(transform).__name__} of the pipeline may draw at random'
    return _why_not_fitting(runner, dataset, most_megabytes)


def _why_not_fitting(runner: Runner, dataset: Dataset, most_megabytes: float) -> str:
    with streams_kept():
        batch = runner.train_loop.dataloader.collate_fn([dataset[0]])
        prepared = runner.model.data_preprocessor(batch, True)
    image = getattr(prepared['data_samples'], 'gt_img', None)
    if prepared['inputs'] or image is None:
        return 'the model gets more than one image of each item'
    megabytes = image.numel() * image.element_size() * len(dataset) / 1e6
    if megabytes > most_megabytes:
        return f'they need {megabytes:.2g} MB, most_megabytes={most_megabytes}'
    return ''


def _is_fixed(transform: Any) -> bool:
    name = type(transform).__name__
    never = name == 'Flip' and transform.flip_ratio == 0
    return never or name in _FIXED
