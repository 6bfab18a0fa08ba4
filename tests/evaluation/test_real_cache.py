import os
import warnings

import numpy as np
import pytest
import torch
from gan_of_reals import ChannelStatistics, build, metric_of
from mmagic.datasets.transforms import LoadImageFromFile, PackInputs
from mmagic.models import DataPreprocessor
from mmengine.dataset import BaseDataset, ConcatDataset
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from rggan_mm.datasets import Digits
from rggan_mm.evaluation import statistics_file
from rggan_mm.evaluation.real_cache import RealCache, default_folder, pixel_hash, preprocessor_state


class Brighten:
    """A transform that notes which images it saw."""

    def __init__(self, by):
        self.by, self.seen = by, []

    def __call__(self, data):
        self.seen.append(data['sample_idx'])
        return {**data, 'gt': data['gt'] + np.uint8(self.by)}

    def __repr__(self):
        return f'Brighten({self.by})'


class Colours(BaseDataset):
    """Random colours in memory."""

    def __init__(self, seed=0, brighter=0, **kwargs):
        self.seed, self.brighten = seed, Brighten(brighter)
        super().__init__(ann_file='', pipeline=[self.brighten, PackInputs()], **kwargs)

    @property
    def reads(self):
        return self.brighten.seen

    def load_data_list(self):
        pixels = np.random.RandomState(self.seed).randint(0, 250, (20, 8, 8, 3))
        return [
            {'gt': image.astype(np.uint8), 'gt_channel_order': 'RGB', 'gt_label': 0}
            for image in pixels
        ]


def looks(count=20):
    """Images read to find statistics: the first, all, and a few through the preprocessor."""
    return 1 + count + 8


def computes(count=20):
    """Images read to make statistics: the key before and after, and each image."""
    return looks(count) + count + count + 8


def hash_of(dataset):
    return pixel_hash(DataLoader(dataset, batch_size=7), len(dataset))


class OtherColours(Colours):
    pass


class Louder(ChannelStatistics):
    def __init__(self, gain=1.0, power=1):
        super().__init__()
        self.power = power
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, images):
        return super().forward(images) ** self.power * self.gain


def prepared(folder, dataset=None, **arguments):
    """A metric that has seen its reals, and how many images were read for it."""
    dataset = dataset or Colours()
    arguments = {'extractor': Louder(), 'fake_nums': 20, 'cache_dir': str(folder), **arguments}
    metric = metric_of(**arguments)
    model = build(dataset)
    dataset.reads.clear()
    metric.prepare(model, DataLoader(dataset, batch_size=4))
    return metric, len(dataset.reads)


def test_the_second_run_reads_a_few_images_and_knows_the_same(tmp_path):
    first, read_first = prepared(tmp_path)
    second, read_second = prepared(tmp_path)
    assert (read_first, read_second) == (computes(), looks())
    assert torch.equal(first._real.statistics.cov, second._real.statistics.cov)
    assert first._real.statistics.count == second._real.statistics.count == 20
    (path,) = tmp_path.iterdir()
    assert path.name.startswith('Colours_train_channels-v3_')


def test_kept_features_come_back(tmp_path):
    arguments = {'values': ['fid', 'kid'], 'kept': 6}
    first, _ = prepared(tmp_path, **arguments)
    second, read = prepared(tmp_path, **arguments)
    assert read == looks()
    assert first._real.statistics.features.shape == (6, 6)
    assert torch.equal(first._real.statistics.features, second._real.statistics.features)


CHANGES = {
    'attribute': lambda: {'extractor': Louder(power=2)},
    'pixels': lambda: {'dataset': Colours(seed=1)},
    'transforms': lambda: {'dataset': Colours(brighter=1)},
    'class': lambda: {'dataset': OtherColours(), 'reference': 'Colours train'},
    'split': lambda: {'dataset': Colours(test_mode=True)},
    'indices': lambda: {'dataset': Colours(indices=19)},
    'count': lambda: {'real_nums': 19, 'reference': 'Colours train'},
    'name': lambda: {'reference': 'my colours'},
    'weights': lambda: {'extractor': Louder(2.0)},
    'kept features': lambda: {'values': ['fid', 'kid']},
}


@pytest.mark.parametrize('change', CHANGES)
def test_everything_that_changes_the_numbers_is_in_the_key(tmp_path, change):
    prepared(tmp_path)
    arguments = CHANGES[change]()
    dataset = arguments.pop('dataset', None)
    _, read = prepared(tmp_path, dataset, **arguments)
    assert read == computes(len(dataset or Colours()) - (change == 'count'))
    assert len(list(tmp_path.iterdir())) == 2


def test_splits_ratios_and_sizes_of_a_data_set_differ():
    def key(**arguments):
        return hash_of(Digits(pipeline=[PackInputs()], **arguments))

    keys = [
        key(split='test', image_size=16),
        key(split='train', image_size=16),
        key(split='train', image_size=16, data_ratio=0.1),
        key(split='train', image_size=32, data_ratio=0.1),
        key(split='train', image_size=16, data_ratio=0.1, subset='random'),
        key(split='train', image_size=16, data_ratio=0.1, subset='random', subset_seed=1),
    ]
    assert len(set(keys)) == len(keys)
    assert key(split='test', image_size=16) == keys[0]


class Files(BaseDataset):
    """Images in files."""

    def __init__(self, folder):
        self.folder = folder
        super().__init__(ann_file='', pipeline=[LoadImageFromFile(key='gt'), PackInputs()])

    def load_data_list(self):
        return [{'gt_path': str(path)} for path in sorted(self.folder.iterdir())]


def test_files_count_with_their_pixels_and_not_with_their_place(tmp_path):
    def write(path, colour):
        path.parent.mkdir(exist_ok=True)
        Image.new('RGB', (8, 8), colour).save(path)
        os.utime(path, (0, 0))

    write(tmp_path / 'here' / 'a.bmp', 'red')
    write(tmp_path / 'there' / 'a.bmp', 'red')
    before = hash_of(Files(tmp_path / 'here'))
    assert hash_of(Files(tmp_path / 'there')) == before
    write(tmp_path / 'here' / 'a.bmp', 'blue')  # as large, and of the same time
    assert hash_of(Files(tmp_path / 'here')) != before


def test_no_cache_when_none_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert prepared(tmp_path, cache_dir=None)[1] == 1 + 20
    assert list(tmp_path.iterdir()) == []
    assert prepared(tmp_path, cache_dir='auto')[1] == computes()
    assert default_folder() == tmp_path / 'rggan_mm' / 'real_statistics'
    assert len(list(default_folder().iterdir())) == 1


def cut_short(path):
    path.write_bytes(path.read_bytes()[:100])


def of_another_key(path):
    statistics, key = statistics_file.read_statistics(path)
    statistics_file.save_statistics(path, statistics, {**key, 'n': 19})


@pytest.mark.parametrize('damage', [cut_short, of_another_key])
def test_a_damaged_file_is_made_again_with_a_warning(tmp_path, damage):
    first, _ = prepared(tmp_path)
    (path,) = tmp_path.iterdir()
    damage(path)
    with pytest.warns(UserWarning, match=f'{path.name}.*computing them again'):
        second, read = prepared(tmp_path)
    assert read == computes()
    assert torch.equal(first._real.statistics.mean, second._real.statistics.mean)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert prepared(tmp_path)[1] == looks()


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.warns(UserWarning, match='real statistics are not kept in .*file'):
        _, read = prepared(tmp_path / 'file')
    assert read == computes()


def test_path_is_readable_and_depends_on_the_whole_key(tmp_path):
    cache = RealCache(tmp_path)
    key = {'reference': 'CIFAR10 test', 'extractor': 'inception-1', 'n': 1}
    path = cache.path(key)
    assert path.name.startswith('CIFAR10_test_inception-1_')
    assert path.suffix == '.npz'
    assert cache.path({**key, 'n': 2}) != path


class Unsteady(Brighten):
    def __call__(self, data):
        self.by += 1
        return super().__call__(data)


class Silent(Brighten):
    __repr__ = object.__repr__


def with_transform(transform):
    data = Colours()
    data.pipeline.transforms[0] = data.brighten = transform
    return data


def test_random_transforms_are_not_kept(tmp_path):
    prepared(tmp_path, with_transform(Unsteady(0)))
    assert list(tmp_path.iterdir()) == []


def test_transforms_count_with_what_they_do_and_not_with_what_they_say(tmp_path):
    prepared(tmp_path, with_transform(Silent(0)))
    assert prepared(tmp_path, with_transform(Silent(0)))[1] == looks()
    assert prepared(tmp_path, with_transform(Silent(1)))[1] == computes()
    assert len(list(tmp_path.iterdir())) == 2


def test_parts_of_other_data_sets_count(tmp_path):
    def joined(brighter):
        parts = [Colours(), Colours(seed=1, brighter=brighter)]
        data = ConcatDataset(parts)
        data.reads = []
        return data

    prepared(tmp_path, joined(0), reference='both')
    prepared(tmp_path, joined(0), reference='both')
    assert len(list(tmp_path.iterdir())) == 1
    prepared(tmp_path, joined(1), reference='both')
    assert len(list(tmp_path.iterdir())) == 2


class BrightenOne(Brighten):
    """Touches a single image."""

    def __call__(self, data):
        return super().__call__(data) if data['sample_idx'] == 7 else data


def test_a_transform_of_a_single_image_counts(tmp_path):
    first, _ = prepared(tmp_path, with_transform(BrightenOne(0)))
    second, _ = prepared(tmp_path, with_transform(BrightenOne(90)))
    alone, _ = prepared(tmp_path / 'empty', with_transform(BrightenOne(90)))
    assert torch.equal(second._real.statistics.mean, alone._real.statistics.mean)
    assert not torch.equal(second._real.statistics.mean, first._real.statistics.mean)


class SometimesBrighter(Brighten):
    """Another image each time it goes through the set."""

    def __call__(self, data):
        turn = len(self.seen) // 20
        self.seen.append(data['sample_idx'])
        return {**data, 'gt': data['gt'] + np.uint8(data['sample_idx'] == 3 and turn % 5)}


def test_random_transforms_of_few_images_are_not_kept(tmp_path):
    prepared(tmp_path, with_transform(SometimesBrighter(0)))
    assert list(tmp_path.iterdir()) == []


def test_the_order_of_channels_counts():
    rgb, bgr = Colours(), Colours()
    bgr.pipeline.transforms.insert(0, lambda data: {**data, 'gt_channel_order': 'BGR'})
    assert hash_of(rgb) == hash_of(Colours()) != hash_of(bgr)


def test_worker_processes_and_batches_do_not_count():
    alone = pixel_hash(DataLoader(Colours(), batch_size=7), 20)
    assert pixel_hash(DataLoader(Colours(), batch_size=3, num_workers=2), 20) == alone


class OneBrighter(nn.Module):
    """What a preprocessor may hold."""

    def __init__(self, index):
        super().__init__()
        self.settings = {'index': index}


def test_nested_settings_of_a_preprocessor_count():
    def state(index=0, **arguments):
        preprocessor = DataPreprocessor(**arguments)
        preprocessor.part = OneBrighter(index)
        return preprocessor_state(preprocessor)

    assert state() == state()
    assert len({str(state()), str(state(1)), str(state(mean=3)), str(state(pad_value=1))}) == 4


def test_kept_features_that_got_lost_are_made_again(tmp_path):
    arguments = {'values': ['fid', 'kid'], 'kept': 6}
    prepared(tmp_path, **arguments)
    (path,) = tmp_path.iterdir()
    statistics, key = statistics_file.read_statistics(path)
    statistics.features = None
    statistics_file.save_statistics(path, statistics, key)
    with pytest.warns(UserWarning, match='lack their features'):
        assert prepared(tmp_path, **arguments)[1] == computes()
