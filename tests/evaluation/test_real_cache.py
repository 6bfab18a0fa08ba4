import warnings

import numpy as np
import pytest
import torch
from gan_of_reals import ChannelStatistics, build, metric_of
from mmagic.datasets.transforms import PackInputs
from mmengine.dataset import BaseDataset, ConcatDataset
from torch.utils.data import DataLoader

from rggan_mm.datasets import Digits
from rggan_mm.evaluation import statistics_file
from rggan_mm.evaluation.real_cache import RealCache, data_fingerprint, default_folder


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


LOOKS = 1 + 2 * 8  # the first image, and twice a few that tell transforms apart


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
    assert (read_first, read_second) == (LOOKS + 20, LOOKS)
    assert torch.equal(first._real.statistics.cov, second._real.statistics.cov)
    assert first._real.statistics.count == second._real.statistics.count == 20
    (path,) = tmp_path.iterdir()
    assert path.name.startswith('Colours_train_channels-v3_')


def test_kept_features_come_back(tmp_path):
    arguments = {'values': ['fid', 'kid'], 'kept': 6}
    first, _ = prepared(tmp_path, **arguments)
    second, read = prepared(tmp_path, **arguments)
    assert read == LOOKS
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
    assert read == LOOKS + len(dataset or Colours()) - (change == 'count')
    assert len(list(tmp_path.iterdir())) == 2


def test_splits_ratios_and_sizes_of_a_data_set_differ():
    def key(**arguments):
        data = Digits(pipeline=[PackInputs()], **arguments)
        return data_fingerprint(data, len(data))

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


def test_files_count_with_size_and_time(tmp_path):
    class Files:
        def get_data_info(self, index):
            return {'gt_path': str(tmp_path / 'a.png'), 'sample_idx': index}

    (tmp_path / 'a.png').write_bytes(b'one')
    before = data_fingerprint(Files(), 1)
    assert data_fingerprint(Files(), 1) == before
    (tmp_path / 'a.png').write_bytes(b'three')
    assert data_fingerprint(Files(), 1) != before


def test_no_cache_when_none_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert prepared(tmp_path, cache_dir=None)[1] == 1 + 20
    assert list(tmp_path.iterdir()) == []
    assert prepared(tmp_path, cache_dir='auto')[1] == LOOKS + 20
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
    assert read == LOOKS + 20
    assert torch.equal(first._real.statistics.mean, second._real.statistics.mean)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert prepared(tmp_path)[1] == LOOKS


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.warns(UserWarning, match='real statistics are not kept in .*file'):
        _, read = prepared(tmp_path / 'file')
    assert read == LOOKS + 20


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
    assert prepared(tmp_path, with_transform(Silent(0)))[1] == LOOKS
    assert prepared(tmp_path, with_transform(Silent(1)))[1] == LOOKS + 20
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


class Infos:
    def __init__(self, value):
        self.value = value

    def get_data_info(self, index):
        return {'gt': self.value, 'sample_idx': index}


def test_tensors_and_lists_count_whole_and_unknown_objects_are_not_kept():
    def black_border(inside):
        image = torch.zeros(40, 40)
        image[20, 20] = inside
        return image

    wholes = [black_border(0.25), black_border(0.5), [black_border(0.25)], [black_border(0.5)]]
    keys = [data_fingerprint(Infos(whole), 1) for whole in wholes]
    assert len(set(keys)) == 4
    assert data_fingerprint(Infos(object()), 1) is None


def test_kept_features_that_got_lost_are_made_again(tmp_path):
    arguments = {'values': ['fid', 'kid'], 'kept': 6}
    prepared(tmp_path, **arguments)
    (path,) = tmp_path.iterdir()
    statistics, key = statistics_file.read_statistics(path)
    statistics.features = None
    statistics_file.save_statistics(path, statistics, key)
    with pytest.warns(UserWarning, match='lack their features'):
        assert prepared(tmp_path, **arguments)[1] == LOOKS + 20
