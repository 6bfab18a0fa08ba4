import inspect
from types import SimpleNamespace

import pytest
from mmagic.datasets import BasicImageDataset
from mmagic.evaluation.functional import inception_utils
from mmengine.dataset import BaseDataset

from rggan_mm.compat import real_statistics

METRIC = SimpleNamespace(
    inception_style='pytorch', real_key=None, use_tero_scirpt=False, inception_pkl=None
)


class Cifar(BaseDataset):
    """A data set whose images depend on ``test_mode``, as CIFAR-10's do."""

    def __init__(self, serialize_data=False, **settings):
        super().__init__(serialize_data=serialize_data, **settings)

    def load_data_list(self):
        return [{'index': index} for index in range(20 if self.test_mode else 50)]


class OtherCifar(Cifar):
    pass


VARIANTS = {
    'train': lambda: Cifar(),
    'test': lambda: Cifar(test_mode=True),
    'first 5': lambda: Cifar(indices=5),
    'first 6': lambda: Cifar(indices=6),
    'listed': lambda: Cifar(indices=[0, 1, 2, 3, 5]),
    'other class': lambda: OtherCifar(),
    'filtered': lambda: Cifar(filter_cfg=dict(size=3)),
    'annotated': lambda: Cifar(ann_file='a.txt'),
}


def _inception(dataset, function=inception_utils.get_inception_feat_cache_name_and_args):
    return function(SimpleNamespace(dataset=dataset), METRIC, 100, True, False)


def test_stock_keeps_them_all_in_one_file():
    stock = inspect.unwrap(inception_utils.get_inception_feat_cache_name_and_args)
    assert len({_inception(make(), stock)[0] for make in VARIANTS.values()}) == 1


def test_every_set_of_images_has_a_file_of_its_own():
    names = {_inception(make())[0] for make in VARIANTS.values()}
    assert len(names) == len(VARIANTS)
    assert all(name.startswith('inception_state-') and name.endswith('.pkl') for name in names)


@pytest.mark.parametrize('make', VARIANTS.values(), ids=VARIANTS)
def test_the_same_set_finds_its_file_again(make):
    assert _inception(make()) == _inception(make())


def test_how_the_list_is_stored_does_not_matter():
    assert _inception(Cifar(serialize_data=True)) == _inception(Cifar())


def test_the_record_in_the_file_says_which_images():
    _, meta = _inception(Cifar(indices=5))
    assert meta['dataset']['settings']['_indices'] == 5
    assert meta['dataset']['length'] == 5
    assert meta['real_nums'] == 100


def test_vgg_features_are_told_apart_too():
    names = {
        inception_utils.get_vgg_feat_cache_name_and_args(SimpleNamespace(dataset=make()), METRIC)[0]
        for make in VARIANTS.values()
    }
    assert len(names) == len(VARIANTS)


def test_folders_of_images_are_told_apart(tmp_path):
    for folder, names in {'a': 'xyz', 'b': 'xy'}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f'{name}.png').touch()
    names = {
        _inception(BasicImageDataset(data_root=str(tmp_path), data_prefix=dict(gt=folder)))[0]
        for folder in 'ab'
    }
    assert len(names) == 2


def test_a_file_that_the_user_names_is_used_as_it_is(tmp_path, monkeypatch):
    def no_name(*args):
        raise AssertionError('asked for a name')

    monkeypatch.setattr(inception_utils, 'get_inception_feat_cache_name_and_args', no_name)
    path = tmp_path / 'mine.pkl'
    path.write_bytes(b'\x80\x04K\x07.')  # pickle of 7
    metric = SimpleNamespace(inception_pkl=str(path), prefix='FID', real_nums=1)
    assert inception_utils.prepare_inception_feat(None, metric, None, True) == 7


def test_a_mmagic_that_tells_them_apart_is_left_alone():
    before = inception_utils.get_inception_feat_cache_name_and_args
    assert not real_statistics.tell_real_images_apart().closed
    assert inception_utils.get_inception_feat_cache_name_and_args is before
