import os
import pickle

import numpy as np
import pytest
import torch
from pytorch_fid.fid_score import compute_statistics_of_path

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.statistics import Statistics
from rggan_mm.evaluation.statistics_file import file_reference, read_statistics, save_statistics


def statistics(dim=3, count=7, features=None):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(10, dim, dtype=torch.float64, generator=generator)
    return Statistics(count, rows.mean(0), rows.T.cov(), features)


def assert_equal(ours, theirs):
    assert ours.count == theirs.count
    assert torch.equal(ours.mean, theirs.mean)
    assert torch.equal(ours.cov, theirs.cov)


@pytest.mark.parametrize('features', [None, torch.rand(4, 3)])
def test_what_is_written_comes_back(tmp_path, features):
    made = statistics(features=features)
    key = {'dataset': 'Täst', 'n': 7, 'shape': [3, 8]}
    save_statistics(tmp_path / 'a.npz', made, key)
    found, found_key = read_statistics(tmp_path / 'a.npz')
    assert_equal(found, made)
    assert found_key == key
    assert (found.features is None) == (features is None)
    if features is not None:
        assert torch.equal(found.features, features)


def test_pytorch_fid_reads_ours(tmp_path):
    save_statistics(tmp_path / 'a.npz', statistics())
    mean, cov = compute_statistics_of_path(str(tmp_path / 'a.npz'), None, 50, 3, 'cpu')
    np.testing.assert_array_equal(mean, statistics().mean)
    np.testing.assert_array_equal(cov, statistics().cov)


def test_ours_reads_what_pytorch_fid_writes(tmp_path):
    made = statistics()
    np.savez_compressed(tmp_path / 'a.npz', mu=made.mean.numpy(), sigma=made.cov.numpy())
    found, key = read_statistics(tmp_path / 'a.npz')
    made.count = None
    assert_equal(found, made)
    assert key is None


def write_broken(path, kind):
    if kind == 'empty':
        path.write_bytes(b'')
    elif kind == 'text':
        path.write_text('mu sigma')
    elif kind == 'cut short':
        save_statistics(path, statistics(60))
        path.write_bytes(path.read_bytes()[:-900])
    elif kind == 'one bit':
        save_statistics(path, statistics(60))
        content = bytearray(path.read_bytes())
        content[9000] ^= 1
        path.write_bytes(content)
    elif kind == 'no sigma':
        np.savez(path, mu=np.zeros(3))
    elif kind == 'other shapes':
        np.savez(path, mu=np.zeros(3), sigma=np.zeros((2, 2)))
    elif kind == 'other features':
        np.savez(path, mu=np.zeros(2), sigma=np.zeros((2, 2)), features=np.zeros((5, 3)))


KINDS = ['empty', 'text', 'cut short', 'one bit', 'no sigma', 'other shapes', 'other features']


@pytest.mark.parametrize('kind', [*KINDS, 'missing'])
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, kind):
    path = tmp_path / 'a.npz'
    write_broken(path, kind)
    with pytest.raises(ConfigError, match=r'^statistics .*a\.npz') as caught:
        read_statistics(path)
    assert '\n' not in str(caught.value)


MU, SIGMA = statistics(4).mean.numpy(), np.cov(np.random.RandomState(0).randn(9, 4), rowvar=False)
NEGATIVE = SIGMA - np.eye(4) * np.linalg.eigvalsh(SIGMA)[-2]
IMPOSSIBLE = [
    ('mu', np.array([0, 1, np.nan, 0])),
    ('mu', np.array([0, 1, np.inf, 0])),
    ('mu', np.zeros((1, 4))),
    ('mu', MU.astype(complex)),
    ('mu', np.array(['1'] * 4)),
    ('sigma', np.where(np.eye(4) > 0, np.nan, SIGMA)),
    ('sigma', np.triu(SIGMA)),
    ('sigma', -SIGMA),
    ('sigma', NEGATIVE),
    ('sigma', SIGMA[:3]),
    ('n', np.array(0)),
    ('n', np.array(-7)),
    ('n', np.array(1)),
    ('n', np.array(2.5)),
    ('n', np.array(np.nan)),
    ('n', np.array([3, 4])),
    ('n', np.array('many')),
    ('n', np.array(True)),
    ('features', np.array([[np.nan, 0, 0, 0]])),
    ('features', np.zeros((3, 5))),
    ('features', np.zeros((13, 4))),
    ('key', np.array('[1, 2]')),
    ('key', np.array('{')),
    ('key', np.array(3)),
    ('key', np.array(['{}', '{}'])),
    ('key', np.array('{"extractor": ["a"]}')),
]


@pytest.mark.parametrize(('field', 'value'), IMPOSSIBLE)
def test_what_no_images_can_have_is_refused_by_field(tmp_path, field, value):
    path = tmp_path / 'a.npz'
    fields = {'mu': MU, 'sigma': SIGMA, 'n': 12, 'features': np.zeros((2, 4)), 'key': '{}'}
    np.savez(path, **fields)
    assert read_statistics(path)[0].count == 12
    np.savez(path, **{**fields, field: value})
    with pytest.raises(ConfigError, match=rf'^statistics .*a\.npz: {field}\b') as caught:
        read_statistics(path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('kind', [np.float32, np.float64, '>f8'])
def test_covariances_that_are_only_rounded_are_taken(tmp_path, kind):
    rows = np.random.RandomState(0).randn(20, 60).astype(np.float32)  # 19 of 60 directions
    sigma = np.cov(rows, rowvar=False).astype(np.float32).astype(kind)
    np.savez(tmp_path / 'a.npz', mu=rows.mean(0), sigma=sigma, n=np.array([20.0]))
    found, _ = read_statistics(tmp_path / 'a.npz')
    assert found.count == 20
    np.testing.assert_array_equal(found.cov, sigma.astype(np.float64))


def test_equal_images_have_a_covariance_of_zeros(tmp_path):
    np.savez(tmp_path / 'a.npz', mu=np.ones(3), sigma=np.zeros((3, 3)))
    assert read_statistics(tmp_path / 'a.npz')[0].cov.abs().sum() == 0


def test_arrays_of_other_names_are_not_read(tmp_path, monkeypatch):
    read, get = [], np.lib.npyio.NpzFile.__getitem__

    def noted(file, name):
        read.append(name)
        return get(file, name)

    monkeypatch.setattr(np.lib.npyio.NpzFile, '__getitem__', noted)
    np.savez(tmp_path / 'a.npz', mu=MU, sigma=SIGMA, images=np.zeros((100, 100)))
    read_statistics(tmp_path / 'a.npz')
    assert read == ['mu', 'sigma']


class Touch:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('whole', [True, False])
def test_a_file_never_runs_code(tmp_path, whole):
    trap = Touch(tmp_path / 'ran')
    if whole:
        (tmp_path / 'a.npz').write_bytes(pickle.dumps(trap))
    else:
        np.savez(tmp_path / 'a.npz', mu=np.array([trap], dtype=object), sigma=np.zeros((1, 1)))
    with pytest.raises(ConfigError):
        read_statistics(tmp_path / 'a.npz')
    assert not (tmp_path / 'ran').exists()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.npz'
    save_statistics(path, statistics())
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError('disk full')

    monkeypatch.setattr(np, 'savez', fail)
    with pytest.raises(OSError, match='disk full'):
        save_statistics(path, statistics(count=9))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['a.npz']


def test_a_file_is_named_with_its_content(tmp_path):
    (tmp_path / 'a.npz').write_bytes(b'abc')
    assert file_reference(tmp_path / 'a.npz') == 'a.npz sha256 ba7816bf'
