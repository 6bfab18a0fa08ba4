import os
import pickle
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from rggan_mm.errors import ConfigError
from rggan_mm.training import checkpoint_reading
from rggan_mm.training.checkpoint_loading import load_anywhere
from rggan_mm.training.checkpoint_reading import trusted_checkpoints

load = partial(load_anywhere, map_location='cpu')


@pytest.fixture(params=['own', 'allow-list'])
def reader(request, monkeypatch):
    """Both ways to read: PyTorch's own (2.6 and later) and ours for older ones."""
    if request.param == 'own' and not checkpoint_reading.torch_allows_names():
        pytest.skip('this PyTorch is older than 2.6')
    if request.param == 'allow-list':
        monkeypatch.setattr(checkpoint_reading, 'torch_allows_names', lambda: False)
    return request.param


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def _checkpoint():
    """What MMEngine's runner saves, in small."""
    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])
    return dict(
        meta=dict(iter=3, cfg='x = 1'),
        state_dict={'w': torch.arange(6.0).reshape(2, 3), 'p': torch.nn.Parameter(torch.ones(2))},
        message_hub=dict(
            log_scalars={'train/loss': buffer},
            runtime_info={'best_score': np.float64(1.5), 'n': np.int64(2), 'f': np.float32(3)},
        ),
        optimizer=optimizer.state_dict(),
    )


@pytest.fixture
def good(tmp_path):
    path = tmp_path / 'iter_3.pth'
    torch.save(_checkpoint(), path)
    return path


@pytest.mark.usefixtures('reader')
@pytest.mark.parametrize('zipped', [True, False])
def test_a_runner_checkpoint_comes_back_whole(tmp_path, zipped):
    path = tmp_path / 'c.pth'
    torch.save(_checkpoint(), path, _use_new_zipfile_serialization=zipped)
    loaded = load(str(path))
    hub = loaded['message_hub']
    assert torch.equal(loaded['state_dict']['w'], torch.arange(6.0).reshape(2, 3))
    assert hub['log_scalars']['train/loss'].mean() == 2.0
    assert hub['runtime_info'] == {'best_score': 1.5, 'n': 2, 'f': 3}
    assert loaded['meta'] == dict(iter=3, cfg='x = 1')


@pytest.mark.usefixtures('reader')
@pytest.mark.parametrize('save', [torch.save, lambda obj, path: path.write_bytes(_dump(obj))])
def test_a_payload_is_refused_by_name_and_does_not_run(tmp_path, save):
    path, trace = tmp_path / 'evil.pth', tmp_path / 'trace'
    save({'state_dict': Payload(trace)}, path)
    with pytest.raises(ConfigError, match=r'evil\.pth is refused: it names \w*\.?mkdir') as caught:
        load(str(path))
    assert not trace.exists()
    assert '\n' not in str(caught.value)
    assert caught.value.__suppress_context__


def _dump(obj):
    return pickle.dumps(obj, protocol=2)


@pytest.mark.usefixtures('reader')
@pytest.mark.parametrize(
    ('owner', 'name'), [(HistoryBuffer, '__init__'), (os, 'system'), (np, 'load'), (str, 'format')]
)
def test_getattr_reaches_nothing_but_statistics(owner, name):
    with pytest.raises(pickle.UnpicklingError, match='Unsupported global'):
        checkpoint_reading.history_statistic(owner, name)


def test_getattr_reaches_the_statistics():
    assert checkpoint_reading.history_statistic(HistoryBuffer, 'mean') is HistoryBuffer.mean


def _truncated(good, path):
    path.write_bytes(good.read_bytes()[:-300])


def _flipped(good, path):
    data = bytearray(good.read_bytes())
    data[:64] = bytes(64)
    path.write_bytes(data)


def _flip(good, path, position, bit=0):
    data = bytearray(good.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def _flipped_weight(good, path):
    _flip(good, path, good.read_bytes().index(torch.arange(6.0).numpy().tobytes()) + 5)


def _flipped_contents(good, path):
    with zipfile.ZipFile(good) as archive:
        _flip(good, path, archive.start_dir)


def _flipped_attribute(good, path):
    with zipfile.ZipFile(good) as archive:
        _flip(good, path, archive.start_dir + 38, bit=4)  # PyTorch takes it for a folder


def _text(good, path):
    path.write_text('not a checkpoint\n' * 40)


def _empty(good, path):
    path.write_bytes(b'')


def _tensor(good, path):
    torch.save(torch.zeros(2), path)


@pytest.mark.usefixtures('reader')
@pytest.mark.parametrize(
    'damage',
    [
        _truncated,
        _flipped,
        _flipped_weight,
        _flipped_contents,
        _flipped_attribute,
        _text,
        _empty,
        _tensor,
    ],
)
def test_a_bad_file_ends_in_one_clear_line(good, tmp_path, damage):
    path = tmp_path / 'bad.pth'
    damage(good, path)
    with pytest.raises(
        ConfigError, match=r'bad\.pth is not readable.*beside it is .*iter_3'
    ) as caught:
        load(str(path))
    assert '\n' not in str(caught.value)
    assert caught.value.__suppress_context__


def test_pytorch_does_not_notice_a_flipped_bit(good, tmp_path):
    path = tmp_path / 'bad.pth'
    _flipped_weight(good, path)
    loaded = torch.load(path, weights_only=False)['state_dict']['w']
    assert not torch.equal(loaded, torch.arange(6.0).reshape(2, 3))


def test_a_good_checkpoint_beside_a_bad_one_is_named(good, tmp_path):
    path = tmp_path / 'iter_5.pth'
    _truncated(good, path)
    with pytest.raises(ConfigError, match=r'iter_5\.pth is not .*beside it is .*iter_3\.pth$'):
        load(str(path))


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'set_crc32_options'), reason='this PyTorch always has them'
)
def test_a_file_without_checksums_loads(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(_checkpoint(), tmp_path / 'c.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    assert load(str(tmp_path / 'c.pth'))['meta']['iter'] == 3


@pytest.mark.usefixtures('reader')
def test_a_trusted_file_may_run_code_and_says_so(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        checkpoint_reading, 'print_log', lambda text, logger, level: said.append(text)
    )
    path, trace = tmp_path / 'old.pth', tmp_path / 'trace'
    torch.save({'state_dict': Payload(trace)}, path)
    with trusted_checkpoints(False), pytest.raises(ConfigError, match='--trust-checkpoint loads'):
        load(str(path))
    assert not trace.exists()
    with trusted_checkpoints():
        assert load(str(path)) == {'state_dict': None}
    assert trace.is_dir()
    assert said == [f'{path} is loaded as trusted: code in the file can run']
    with pytest.raises(ConfigError, match='refused'):
        load(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'gone\.pth does not exist'):
        load(str(tmp_path / 'gone.pth'))


def test_trouble_with_the_device_is_not_blamed_on_the_file(good, monkeypatch):
    def no_device(path, map_location):
        raise RuntimeError('CUDA out of memory')

    monkeypatch.setattr(checkpoint_reading, '_load', no_device)
    with pytest.raises(RuntimeError, match='CUDA out of memory'):
        load(str(good))


def test_a_download_is_fetched_once_and_loaded_as_safely(good, tmp_path, monkeypatch):
    fetched = []

    def download(url, path, progress):
        fetched.append(url)
        torch.save({'state_dict': Payload(tmp_path / 'trace')}, path)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    for _ in range(2):
        with pytest.raises(ConfigError, match='refused'):
            load('https://example.org/a/m.pth?x=1')
    assert fetched == ['https://example.org/a/m.pth?x=1']
    assert not (tmp_path / 'trace').exists()


def test_names_of_both_numpy_cores_are_known():
    names = checkpoint_reading.mmengine_types()
    assert names['numpy.core.multiarray.scalar'] is names['numpy._core.multiarray.scalar']


def test_mmengine_loads_its_own_checkpoints_too(good):
    loaded = CheckpointLoader.load_checkpoint(str(good), 'cpu', None)
    assert loaded['message_hub']['log_scalars']['train/loss'].mean() == 2.0


def test_other_addresses_are_left_to_mmengine(monkeypatch):
    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', lambda *given: {'given': given})
    assert load('s3://bucket/a.pth') == {'given': ('s3://bucket/a.pth', 'cpu')}
