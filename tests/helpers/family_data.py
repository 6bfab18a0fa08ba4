"""Tiny image sets for the families, and the config options that lead to them.

The images are made once and gone when the tests end.
"""

import tempfile
from functools import cache
from pathlib import Path

import cifar_archive
import numpy as np
from cifar_archive import smooth_images
from PIL import Image

SIZE = 16
COUNT = 12
SINGAN_SCALES = 2
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@cache
def _root():
    _folders.append(tempfile.TemporaryDirectory(prefix='rggan_mm_families_'))
    return Path(_folders[-1].name)


_folders = []  # as long as the tests run


def _images(seed, count=COUNT):
    """Smooth colour images, uint8, (count, SIZE, SIZE, 3)."""
    return smooth_images(count, seed)[:, :, :: 32 // SIZE, :: 32 // SIZE].transpose(0, 2, 3, 1)


def _write(folder, images):
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f'{i}.png')


@cache
def _folder():
    """A flat folder of images."""
    path = _root() / 'flat'
    _write(path, _images(0))
    return str(path)


@cache
def _faces():
    """A flat folder of images at 32x32."""
    path = _root() / 'faces'
    _write(path, smooth_images(COUNT, 6).transpose(0, 2, 3, 1))
    return str(path)


@cache
def _unpaired():
    """Two domains, as UnpairedImageDataset looks for them."""
    path = _root() / 'unpaired'
    for seed, name in enumerate(('trainA', 'trainB', 'testA', 'testB')):
        _write(path / name, _images(seed, count=4))
    return str(path)


@cache
def _paired():
    """Images side by side, as PairedImageDataset looks for them."""
    path = _root() / 'paired'
    for seed, name in enumerate(('train', 'test')):
        pairs = np.concatenate([_images(seed, count=4), _images(seed + 2, count=4)], axis=2)
        _write(path / name, pairs)
    return str(path)


@cache
def _imagenet(classes=3):
    """A folder with the annotation file that the ImageNet configs name.

    The file lists more images than a run takes: MMEngine sleeps when an epoch ends.
    """
    path = _root() / 'imagenet'
    _write(path / 'train', _images(4))
    (path / 'meta').mkdir()
    lines = [f'{i % COUNT}.png {i % classes}' for i in range(8 * COUNT)]
    (path / 'meta' / 'train.txt').write_text('\n'.join(lines))
    return str(path)


@cache
def _single_image(size=24):
    """One image file, for SinGAN."""
    path = _root() / 'single'
    _write(path, [smooth_images(1, 5)[0].transpose(1, 2, 0)[:size, :size]])
    return str(path / '0.png')


def everywhere(loaders=LOADERS, **options):
    """The same options for several data loaders."""
    return {
        f'{loader}.{key.replace("__", ".")}': value
        for loader in loaders
        for key, value in options.items()
    }


def folder():
    """For a BasicImageDataset."""
    return everywhere(dataset__data_root=_folder())


def faces():
    """For the faces at 32x32."""
    return everywhere(dataset__data_root=_faces())


def halved_faces():
    """For the faces at 32x32 of which one half decides and the other reports."""
    reports = 'val_evaluator.metrics.0.reports'
    return {
        **faces(),
        'val_dataloader.dataset.indices': COUNT // 2,
        f'{reports}.held_out.data_root': _faces(),
        f'{reports}.held_out.indices': -COUNT // 2,
        f'{reports}.all.data_root': _faces(),
    }


def cifar10():
    """For CIFAR10."""
    # MMagic's class compares files with checksums of the real archive.
    kind = everywhere(dataset__type='CIFAR10Subset', dataset__data_prefix='')
    return {**kind, **cifar_archive.local_options()}


def imagenet():
    """For ImageNet."""
    # Stock: the data set gives gt_path, but the pipeline reads img_path.
    steps = [
        dict(type='LoadImageFromFile', key='gt'),
        dict(type='CenterCropLongEdge', keys='gt'),
        dict(type='Resize', keys='gt', scale=(32, 32), backend='pillow'),
        dict(type='PackInputs'),
    ]
    return everywhere(dataset__data_root=_imagenet(), dataset__pipeline=steps)


def growing(*scales):
    """For a GrowScaleImgDataset that grows by these scales."""

    def data():
        root = _folder()
        return {
            'train_dataloader.dataset.data_roots': {'_delete_': True, str(scales[-1]): root},
            'train_dataloader.dataset.gpu_samples_base': 4,
            'train_dataloader.dataset.gpu_samples_per_scale': dict.fromkeys(map(str, scales), 4),
            'test_dataloader.dataset.data_root': root,
        }

    return data


def mspie():
    """For MSPIE, whose validation reads other keys."""
    # Stock: validation reads the key img, which this data set does not give.
    steps = [
        dict(type='LoadImageFromFile', key='gt'),
        dict(type='Resize', keys='gt', scale=(16, 16)),
        dict(type='PackInputs'),
    ]
    return {**folder(), **everywhere(LOADERS[1:], dataset__pipeline=steps)}


def unpaired():
    """For an UnpairedImageDataset."""
    return {
        **everywhere(dataset__data_root=_unpaired()),
        'train_dataloader.dataset.pipeline.2.transforms.0.scale': (18, 18),
        'train_dataloader.dataset.pipeline.2.transforms.1.crop_size': (16, 16),
        **everywhere(LOADERS[1:], dataset__pipeline__2__transforms__scale=(16, 16)),
    }


def paired():
    """For a PairedImageDataset."""
    # The U-Net halves its input at least five times.
    return {
        **everywhere(dataset__data_root=_paired()),
        'train_dataloader.dataset.pipeline.1.scale': (36, 36),
        'train_dataloader.dataset.pipeline.2.crop_size': (32, 32),
        **everywhere(LOADERS[1:], dataset__pipeline__1__transforms__0__scale=(32, 32)),
    }


def single_image():
    """For a SinGANDataset."""
    keys = [*(f'real_scale{i}' for i in range(SINGAN_SCALES + 1)), 'input_sample']
    return {
        'train_dataloader.dataset.data_root': _single_image(),
        'train_dataloader.dataset.min_size': 12,
        'train_dataloader.dataset.max_size': 24,
        'train_dataloader.dataset.scale_factor_init': 0.5,
        'train_dataloader.dataset.pipeline.0.keys': keys,
    }
