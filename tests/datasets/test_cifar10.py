import io
import shutil
import socketserver
import tarfile
import threading
import warnings

import cifar_archive
import numpy as np
import pytest
from mmagic.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from tiny import ROOT

from rggan_mm.datasets import CIFAR10Subset
from rggan_mm.errors import ConfigError

CONFIG = Config.fromfile(ROOT / 'configs' / '_base_' / 'cifar10.py')
NO_NETWORK = 'http://127.0.0.1:9/cifar-10-python.tar.gz'  # the discard port: nobody listens


@pytest.fixture(scope='module')
def served():
    with cifar_archive.serve(images=20) as archive:
        yield archive


@pytest.fixture(scope='module')
def unpacked(served, tmp_path_factory):
    folder = tmp_path_factory.mktemp('cifar10')
    CIFAR10Subset(data_root=str(folder), url=served.url, checksums=served.checksums)
    return folder


@pytest.fixture
def folder(unpacked, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(unpacked, tmp_path / 'copy')


@pytest.fixture
def build(served, unpacked):
    def build(root=unpacked, **arguments):
        # Without serialising there is no gc.collect(), most of what a data set takes here.
        defaults = {'url': NO_NETWORK, 'checksums': served.checksums, 'serialize_data': False}
        return CIFAR10Subset(data_root=str(root), **{**defaults, **arguments})

    return build


def images_of(data):
    return np.stack([data.get_data_info(index)['gt'] for index in range(len(data))])


def test_downloads_once_and_reads_what_was_packed(served, tmp_path):
    before = len(served.requests)
    for _ in range(2):
        data = CIFAR10Subset(data_root=str(tmp_path), url=served.url, checksums=served.checksums)
    assert len(served.requests) == before + 1
    assert len(data) == 100
    packed = cifar_archive.smooth_images(20, seed=1)
    assert np.array_equal(images_of(data)[20:40], packed.transpose(0, 2, 3, 1))
    assert data.get_data_info(21)['gt_label'] == 2
    assert data.get_data_info(0)['gt_channel_order'] == 'RGB'


def test_test_split(build):
    data = build(test_mode=True)
    packed = cifar_archive.smooth_images(20, seed=5)
    assert np.array_equal(images_of(data), packed.transpose(0, 2, 3, 1))


def test_archive_in_place_needs_no_network(build, folder):
    shutil.rmtree(folder / cifar_archive.FOLDER)
    assert len(build(folder)) == 100


def test_no_prefix_of_the_unpacked_files_is_taken_for_all_of_them(build, folder):
    """A run that was killed while it unpacked leaves a cut file and lacks others."""
    batch = folder / cifar_archive.FOLDER / 'data_batch_3'
    batch.write_bytes(batch.read_bytes()[:1000])
    (folder / cifar_archive.FOLDER / 'test_batch').unlink()
    whole = images_of(build())
    assert np.array_equal(images_of(build(folder)), whole)
    assert len(build(folder, test_mode=True)) == 20


def test_unpacking_warns_of_nothing_and_leaves_tarfile_alone(build, folder):
    shutil.rmtree(folder / cifar_archive.FOLDER)
    before = tarfile.TarFile.extraction_filter
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        build(folder)
    assert tarfile.TarFile.extraction_filter is before


def test_archive_cannot_write_outside_its_folder(served, tmp_path):
    root = tmp_path / 'data'
    root.mkdir()
    with tarfile.open(root / cifar_archive.NAME, 'w:gz') as archive:
        entry = tarfile.TarInfo('../outside')
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b'x'))
    md5 = cifar_archive.md5((root / cifar_archive.NAME).read_bytes())
    checksums = {**served.checksums, cifar_archive.NAME: md5}
    with pytest.raises(ConfigError, match=r'cannot be unpacked: .*outside'):
        CIFAR10Subset(data_root=str(root), url=NO_NETWORK, checksums=checksums)
    assert not (tmp_path / 'outside').exists()


def test_no_network_says_where_the_archive_goes(build, tmp_path):
    with pytest.raises(ConfigError) as error:
        build(tmp_path)
    message = str(error.value)
    for part in (NO_NETWORK, 'refused', f'put {cifar_archive.NAME}', str(tmp_path), 'data_root'):
        assert part in message
    assert '\n' not in message


def test_missing_on_the_server(served, tmp_path):
    url = f'{served.url}.missing'
    with pytest.raises(ConfigError, match=r'\.missing \(HTTP Error 404'):
        CIFAR10Subset(data_root=str(tmp_path), url=url, checksums=served.checksums)


def test_server_that_hangs_up(served, tmp_path):
    class HangUp(socketserver.BaseRequestHandler):
        """Closes the connection without a word."""

    with socketserver.TCPServer(('127.0.0.1', 0), HangUp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_address[1]}/x.tar.gz'
        with pytest.raises(ConfigError, match=r'could not be downloaded .* closed connection'):
            CIFAR10Subset(data_root=str(tmp_path), url=url, checksums=served.checksums)
        server.shutdown()


def test_wrong_archive_is_named_with_both_checksums(served, tmp_path):
    with pytest.raises(ConfigError) as error:
        CIFAR10Subset(data_root=str(tmp_path), url=served.url)
    found, expected = served.checksums[cifar_archive.NAME], CIFAR10Subset.tgz_md5
    path = tmp_path / cifar_archive.NAME
    assert f'the checksum of {path} is {found} instead of {expected}' in str(error.value)


def test_wrong_file_in_the_archive_is_named(served, unpacked, build):
    checksums = {**served.checksums, 'data_batch_2': 32 * '0'}
    with pytest.raises(ConfigError, match=r'data_batch_2 is \w+ instead of 0000'):
        build(checksums=checksums)


def test_download_false(build, tmp_path):
    with pytest.raises(ConfigError, match=r'download=False, but there is no'):
        build(tmp_path, download=False)
    assert len(build(download=False)) == 100


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'data_ratio': 0}, r'data_ratio must be a number in \(0, 1\]'),
        ({'data_ratio': 1e-4}, r'data_ratio=0.0001 leaves none of 100 images'),
        ({'subset': 'last'}, 'subset must be one of first, random, stratified'),
        ({'subset_seed': -1}, 'subset_seed must be an integer'),
        ({'url': 'toronto'}, "url must be the address of an archive, .* but got 'toronto'"),
        ({'checksums': {'data_batch_6': ''}}, "checksums: 'data_batch_6' is no file; there is"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_bad_arguments_are_refused(build, arguments, message):
    with pytest.raises(ConfigError, match=message):
        build(**arguments)


def test_ratio_takes_the_first_images(build):
    assert np.array_equal(images_of(build(data_ratio=0.3)), images_of(build())[:30])


def test_other_subsets_are_seeded(build):
    def labels(**arguments):
        return list(build(data_ratio=0.2, **arguments).get_gt_labels())

    assert labels(subset='random') == labels(subset='random')
    assert labels(subset='random') != labels(subset='random', subset_seed=1)
    assert sorted(labels(subset='stratified')) == sorted([*range(10)] * 2)


def test_name_tells_split_and_subset(build):
    assert build(test_mode=True).name == 'CIFAR10 test'
    assert build().name == 'CIFAR10 train'
    data = build(data_ratio=0.1, subset='random', subset_seed=3)
    assert data.name == 'CIFAR10 train random 0.1 seed 3'
    assert data.name in repr(data)


def test_command_line_may_give_the_mirror(served, unpacked):
    config = Config(CONFIG.to_dict())
    config.merge_from_dict(served.options)  # splits file names at their dots
    for loader, count in ((config.train_dataloader, 100), (config.val_dataloader, 20)):
        with DefaultScope.overwrite_default_scope('mmagic'):
            data = DATASETS.build({**loader.dataset, 'data_root': str(unpacked)})
        assert data.url == served.url
        assert len(data) == count


@pytest.mark.parametrize('ratio', [0.0, 1.0])
def test_pipeline_of_the_configs_flips_when_one_number_says_so(build, ratio):
    config = Config(CONFIG.to_dict())
    config.merge_from_dict({'train_dataloader.dataset.pipeline.0.flip_ratio': ratio})
    with DefaultScope.overwrite_default_scope('mmagic'):
        data = build(pipeline=config.train_dataloader.dataset.pipeline, serialize_data=True)
    image = images_of(data)[7].transpose(2, 0, 1)
    expected = image[:, :, ::-1] if ratio else image
    for _ in range(2):  # flipping in place must not reach the stored image
        batch = pseudo_collate([data[7], data[8]])
        assert np.array_equal(batch['data_samples'][0].gt_img.numpy(), expected)
