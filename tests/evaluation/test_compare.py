import json

import numpy as np
import pytest
import torch
from gan_of_reals import ChannelStatistics
from PIL import Image

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.compare import StatisticsSource, compare
from rggan_mm.evaluation.extractors import made_by
from rggan_mm.evaluation.sources import ImageFolder
from rggan_mm.evaluation.statistics_file import save_statistics


def write_images(folder, count, seed=0, size=8, end='png'):
    folder.mkdir(exist_ok=True)
    pixels = np.random.RandomState(seed).randint(0, 256, (count, size, size, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f'{index:03d}_{size}.{end}')
    return pixels


@pytest.mark.parametrize('batch_size', [1, 4, 50])
def test_a_folder_gives_its_images_in_order(tmp_path, batch_size):
    pixels = write_images(tmp_path / 'a', 7)
    source = ImageFolder(tmp_path / 'a', batch_size)
    assert (len(source), source.name) == (7, 'folder a')
    images = torch.cat(list(source.batches()))
    np.testing.assert_array_equal((images * 255).round().permute(0, 2, 3, 1), pixels)


def test_sizes_may_change_and_grey_becomes_rgb(tmp_path):
    write_images(tmp_path / 'a', 3, size=8)
    write_images(tmp_path / 'a', 3, size=6)
    Image.new('L', (5, 5), 128).save(tmp_path / 'a' / 'z.png')
    shapes = [tuple(batch.shape) for batch in ImageFolder(tmp_path / 'a').batches()]
    assert sorted({shape[1:] for shape in shapes}) == [(3, 5, 5), (3, 6, 6), (3, 8, 8)]
    assert sum(shape[0] for shape in shapes) == 7


def test_folders_below_are_searched_and_other_files_told(tmp_path):
    write_images(tmp_path / 'a', 2)
    write_images(tmp_path / 'a' / 'below', 5)
    (tmp_path / 'a' / 'notes.txt').write_text('no image')
    with pytest.warns(UserWarning, match=r'7 images, 5 of them in subfolders; skipped: 1 \.txt'):
        assert len(ImageFolder(tmp_path / 'a')) == 7
    with pytest.warns(UserWarning, match='2 images; skipped: 2 that pytorch-fid does not read'):
        assert len(ImageFolder(tmp_path / 'a', like_pytorch_fid=True)) == 2


def test_bad_folders_are_refused_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r'nowhere: there is no such folder'):
        ImageFolder(tmp_path / 'nowhere')
    write_images(tmp_path / 'a', 2)
    (tmp_path / 'a' / 'c.png').write_bytes(b'no image')
    with pytest.raises(ConfigError, match=r'image .*c\.png is not readable'):
        list(ImageFolder(tmp_path / 'a').batches())


def test_values_and_protocol_of_two_folders(tmp_path):
    write_images(tmp_path / 'a', 30)
    write_images(tmp_path / 'b', 25, seed=1)
    sources = [ImageFolder(tmp_path / name) for name in 'ab']
    result, (real, fake) = compare(*sources, ChannelStatistics(), ['fid', 'is', 'kid', 'pr'])
    assert result['fid'] > 1e-4
    assert result['is'] > 1
    assert 0 <= result['recall'] <= 1
    assert (result['n_real'], result['n_fake']) == (real.count, fake.count) == (30, 25)
    assert (result['reference'], result['generated']) == ('folder a', 'folder b')
    assert (result['extractor'], result['resize']) == ('channels-v3', 'none')
    json.dumps(result)


def test_a_folder_with_itself(tmp_path):
    write_images(tmp_path / 'a', 30)
    sources = [ImageFolder(tmp_path / 'a', size) for size in (7, 30)]
    result, _ = compare(*sources, ChannelStatistics(), ['fid', 'pr'])
    assert result['fid'] == pytest.approx(0, abs=1e-9)
    assert result['precision'] == result['recall'] == result['coverage'] == 1


def test_statistics_stand_in_for_either_side(tmp_path):
    write_images(tmp_path / 'a', 30)
    write_images(tmp_path / 'b', 25, seed=1)
    sources = [ImageFolder(tmp_path / name) for name in 'ab']
    direct, statistics = compare(*sources, ChannelStatistics(), ['fid', 'kid'])
    for name, found in zip('ab', statistics, strict=True):
        save_statistics(tmp_path / f'{name}.npz', found)
    files = [StatisticsSource(tmp_path / f'{name}.npz') for name in 'ab']
    for pair in ((files[0], sources[1]), (sources[0], files[1]), files):
        result, _ = compare(*pair, ChannelStatistics(), ['fid', 'kid'])
        for name in ('fid', 'kid', 'n_real', 'n_fake'):
            assert result[name] == pytest.approx(direct[name], abs=1e-9)


def test_what_statistics_cannot_give_is_refused(tmp_path):
    write_images(tmp_path / 'a', 5)
    folder = ImageFolder(tmp_path / 'a')
    np.savez(tmp_path / 'a.npz', mu=np.zeros(6), sigma=np.eye(6))
    np.savez(tmp_path / 'b.npz', mu=np.zeros(4), sigma=np.eye(4))
    file, other = StatisticsSource(tmp_path / 'a.npz'), StatisticsSource(tmp_path / 'b.npz')
    net = ChannelStatistics()
    with pytest.raises(ConfigError, match="'is' needs images"):
        compare(folder, file, net, ['is'])
    with pytest.raises(ConfigError, match='kid, pr and memorisation need'):
        compare(file, folder, net, ['kid'])
    with pytest.raises(ConfigError, match='and folder a have 4 and 6 features'):
        compare(other, folder, net, ['fid'])
    with pytest.raises(ConfigError, match='values must be a list'):
        compare(folder, folder, net, ['lpips'])
    result, _ = compare(file, file, None)
    assert result['n_real'] is None
    assert result['extractor'] == 'unknown'


def test_features_of_two_extractors_are_not_compared(tmp_path):
    write_images(tmp_path / 'a', 8)
    one, two = ChannelStatistics(), ChannelStatistics()
    two.scale = 3
    folder = ImageFolder(tmp_path / 'a')
    _, (found, _) = compare(folder, folder, one)
    for name, net in (('one', one), ('two', two)):
        save_statistics(tmp_path / f'{name}.npz', found, made_by(net))
    files = [StatisticsSource(tmp_path / f'{name}.npz') for name in ('one', 'two')]
    assert compare(files[0], folder, one)[0]['fid'] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ConfigError, match=r'one\.npz sha256 .*: its weights is'):
        compare(files[0], folder, two)
    with pytest.raises(ConfigError, match='two extractors: weights differs'):
        compare(*files, None)


def test_a_bad_image_in_a_worker_process_is_one_line_too(tmp_path):
    write_images(tmp_path / 'a', 2)
    (tmp_path / 'a' / 'c.png').write_bytes(b'no image')
    with pytest.raises(ConfigError, match=r'^image .*c\.png is not readable') as caught:
        list(ImageFolder(tmp_path / 'a', num_workers=1).batches())
    assert '\n' not in str(caught.value)
