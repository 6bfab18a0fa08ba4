import math

import numpy as np
import pytest
import torch
from gan_of_reals import ChannelStatistics, ColourNoise, build, evaluate, metric_of

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.extractors import made_by
from rggan_mm.evaluation.statistics_file import save_statistics


@pytest.fixture
def saved(tmp_path):
    """Statistics of 24 images, as the metric saw them, and the metric's own result."""
    data = ColourNoise()
    metric = metric_of(fake_nums=10, values=['fid', 'kid'], kept=9)
    model = build(data, indices=range(10))
    metric.prepare(model, torch.utils.data.DataLoader(data, batch_size=5))
    save_statistics(tmp_path / 'reals.npz', metric._real.statistics)
    return tmp_path / 'reals.npz'


def result_of(**arguments):
    data = ColourNoise()
    (result,) = evaluate(build(data, indices=range(10)), data, fake_nums=10, **arguments)
    return result, data.reads


@pytest.mark.parametrize('values', [['fid'], ['fid', 'kid', 'pr']])
def test_a_file_stands_in_for_the_images(saved, values):
    settings = {'values': values, 'kept': 9, 'neighbours': 2}
    from_images, _ = result_of(**settings)
    from_file, reads = result_of(real_stats=str(saved), **settings)
    assert reads == [0]
    assert from_file['channels/reference'].startswith('reals.npz sha256 ')
    for name in (n for n in from_images if 'reference' not in n and 'protocol' not in n):
        assert from_file[name] == pytest.approx(from_images[name], abs=1e-9), name


def test_pytorch_fids_files_do_not_say_how_many_images(tmp_path):
    np.savez(tmp_path / 'a.npz', mu=np.zeros(6), sigma=np.eye(6))
    result, _ = result_of(real_stats=str(tmp_path / 'a.npz'))
    assert math.isnan(result['channels/n_real'])
    result, _ = result_of(real_stats=str(tmp_path / 'a.npz'), real_nums=50_000)
    assert result['channels/n_real'] == 50_000
    assert result['channels/fid'] > 1


def test_a_file_of_other_features_is_refused(tmp_path):
    np.savez(tmp_path / 'a.npz', mu=np.zeros(5), sigma=np.eye(5))
    with pytest.raises(ConfigError, match='have 5 features, the extractor gives 6'):
        result_of(real_stats=str(tmp_path / 'a.npz'))


def test_values_that_need_features_are_refused_without_them(tmp_path):
    np.savez(tmp_path / 'a.npz', mu=np.zeros(6), sigma=np.eye(6))
    with pytest.raises(
        ConfigError, match='the file has no features, which kid, pr and memorisation'
    ):
        metric_of(fake_nums=10, values=['fid', 'pr'], real_stats=str(tmp_path / 'a.npz'))


def test_a_file_of_another_extractor_is_refused(tmp_path):
    data = ColourNoise()
    metric = metric_of(fake_nums=10)
    metric.prepare(build(data), torch.utils.data.DataLoader(data, batch_size=5))
    path = tmp_path / 'a.npz'
    save_statistics(path, metric._real.statistics, made_by(ChannelStatistics()))
    assert metric_of(fake_nums=10, real_stats=str(path))
    other = ChannelStatistics()
    other.scale = 2
    with pytest.raises(ConfigError, match=r'real_stats=.*a\.npz: its weights is'):
        metric_of(fake_nums=10, real_stats=str(path), extractor=other)
