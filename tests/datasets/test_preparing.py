"""A clean folder of PNG files from any folder of images."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rggan_mm.datasets.preparing import Recipe, prepare_images
from rggan_mm.errors import ConfigError

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255,) * 3, (0,) * 3


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / 'source'
    (folder / 'below').mkdir(parents=True)
    return folder


def halves(width, height, mode='RGB'):
    """Blue with the right half red; the left half is transparent where the mode can."""
    image = Image.new(mode, (width, height), (*BLUE, 0)[: len(mode)])
    image.paste((*RED, 255)[: len(mode)], (width // 2, 0, width, height))
    return image


def read(path):
    image = Image.open(path)
    assert (image.mode, image.format) == ('RGB', 'PNG')
    return np.asarray(image)


def content(folder):
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_every_kind_of_file_comes_out_alike(source, tmp_path):
    halves(16, 16).save(source / 'plain.PNG')
    halves(16, 16).save(source / 'below' / 'plain.png')
    halves(16, 16, 'RGBA').save(source / 'alpha.webp', lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    halves(16, 16).save(source / 'turned.jpg', exif=exif, quality=95)
    Image.fromarray(np.full((16, 16), 0x80FF, np.uint16)).save(source / 'deep.tif')
    frames = [Image.new('RGB', (16, 16), colour) for colour in (RED, BLUE)]
    frames[0].save(source / 'moving.gif', save_all=True, append_images=frames[1:])
    done = prepare_images(source, tmp_path / 'out', Recipe(8))
    assert done.written == {'.': 6}
    assert (done.skipped, done.skipped_file, done.enlarged) == ({}, None, 0)
    images = {name: read(tmp_path / 'out' / name) for name in content(tmp_path / 'out')}
    assert {image.shape for image in images.values()} == {(8, 8, 3)}
    left = {name: image[4, 0].tolist() for name, image in images.items()}
    assert left['plain.png'] == left['below/plain.png'] == [*BLUE]
    assert left['alpha.png'] == [*WHITE]
    assert left['turned.png'][0] > 200 > 50 > left['turned.png'][2]
    assert left['deep.png'] == [128] * 3
    assert left['moving.png'] == [*RED]


@pytest.mark.parametrize(('crop', 'corner'), [('center', BLUE), ('pad', BLACK), ('none', BLUE)])
def test_what_is_not_square(source, tmp_path, crop, corner):
    halves(16, 8).save(source / 'wide.png')
    prepare_images(source, tmp_path / 'out', Recipe(8, crop, 'black'))
    image = read(tmp_path / 'out' / 'wide.png')
    np.testing.assert_allclose(image[0, 0], corner, atol=20)
    expected = [BLUE, BLUE, RED, RED]  # away from the edge, around which the filter mixes
    np.testing.assert_allclose(image[4, [0, 1, 6, 7]], expected, atol=1)
    assert (image.max(-1) < 20).sum() == (32 if crop == 'pad' else 0)


def test_center_takes_the_middle(source, tmp_path):
    image = Image.new('RGB', (24, 8), BLUE)
    image.paste(RED, (8, 0, 16, 8))
    image.save(source / 'wide.png')
    prepare_images(source, tmp_path / 'out', Recipe(8))
    assert (read(tmp_path / 'out' / 'wide.png') == RED).all()


def test_what_is_skipped_is_listed_with_the_reason(source, tmp_path):
    halves(4, 4).save(source / 'small.png')
    (source / 'below' / 'cut.jpg').write_bytes(b'no image')
    (source / 'notes.txt').touch()
    (source / '.hidden.png').touch()
    done = prepare_images(source, tmp_path / 'out', Recipe(8))
    assert (done.written, done.enlarged) == ({'.': 1}, 1)
    assert set(done.skipped) == {'.hidden.png', 'below/cut.jpg', 'notes.txt'}
    assert done.skipped_file == tmp_path / 'out_skipped.txt'
    lines = [line.split('\t') for line in done.skipped_file.read_text().splitlines()]
    assert [name for name, _ in lines] == ['.hidden.png', 'below/cut.jpg', 'notes.txt']
    assert 'cut.jpg is not readable' in lines[1][1]
    assert (lines[0][1], lines[2][1]) == ('hidden', '.txt')


def test_files_of_one_name_stay_apart(source, tmp_path):
    for number, name in enumerate(['a.bmp', 'a.jpg', 'A.png', 'a_2.png']):
        Image.new('RGB', (8, 8), (number * 60,) * 3).save(source / name)
    prepare_images(source, tmp_path / 'out', Recipe(8))
    files = content(tmp_path / 'out')
    assert len(files) == len({name.lower() for name in files}) == 4
    assert len(set(files.values())) == 4


def test_a_folder_may_have_the_name_of_a_file(source, tmp_path):
    (source / 'A.png').mkdir()
    for name in ('a.jpg', 'A.png/x.jpg', 'A.png/y.jpg'):
        halves(8, 8).save(source / name)
    prepare_images(source, tmp_path / 'out', Recipe(8))
    assert set(content(tmp_path / 'out')) == {'a_2.png', 'A.png/x.png', 'A.png/y.png'}


def many(source, count=40):
    for number in range(count):
        Image.new('RGB', (4, 4), (number, 0, 0)).save(source / f'{number // 4}_{number % 4}.png')


def test_the_split_is_fixed_and_complete(source, tmp_path):
    many(source)
    done = prepare_images(source, tmp_path / 'one', Recipe(4, test=0.25))
    assert done.written == {'train': 30, 'test': 10}
    prepare_images(source, tmp_path / 'two', Recipe(4, test=0.25))
    assert content(tmp_path / 'one') == content(tmp_path / 'two')
    assert len({name.split('/')[1] for name in content(tmp_path / 'one')}) == 40


@pytest.mark.parametrize('pattern', [r'^\d+', r'(\d+)_'])
def test_near_duplicates_stay_together(source, tmp_path, pattern):
    many(source)
    done = prepare_images(source, tmp_path / 'out', Recipe(4, test=0.25, keep_together=pattern))
    assert done.written == {'train': 32, 'test': 8}
    names = content(tmp_path / 'out')
    groups = {side: {re.findall(r'\d+', n)[0] for n in names if side in n} for side in done.written}
    assert groups['train'].isdisjoint(groups['test'])


def test_only_what_matches_is_looked_at(source, tmp_path):
    many(source)
    (source / 'notes.txt').touch()
    done = prepare_images(source, tmp_path / 'out', Recipe(4, only=r'^[12]_\d\.png$'))
    assert (done.written, done.skipped) == ({'.': 8}, {})


def test_a_run_that_stops_leaves_nothing(source, tmp_path):
    many(source, 3)

    def stopping(names):
        yield names[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_images(source, tmp_path / 'out', Recipe(4), stopping)
    assert [path.name for path in tmp_path.iterdir()] == ['source']


@pytest.mark.parametrize(
    'options',
    [
        {'size': 0},
        {'crop': 'middle'},
        {'background': 'none such'},
        {'test': 1.5},
        {'only': '('},
        {'test': 0.5, 'keep_together': '['},
        {'keep_together': 'a'},
    ],
)
def test_bad_recipes_name_the_field(options):
    with pytest.raises(ConfigError, match=list(options)[-1]):
        Recipe(**{'size': 8, **options})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'only': 'x'}, 'only='),
        ({'test': 0.01}, 'test=0.01'),
        ({'test': 1.0}, 'leaves training'),
        ({'test': 0.2, 'keep_together': '_'}, 'leaves test'),
    ],
)
def test_what_leaves_no_image_is_refused(source, tmp_path, options, message):
    many(source, 12)
    with pytest.raises(ConfigError, match=message):
        prepare_images(source, tmp_path / 'out', Recipe(4, **options))
    assert not (tmp_path / 'out').exists()


def test_folders_that_cannot_be_used_are_refused(source, tmp_path):
    many(source, 2)
    for folder in (source, source / 'out', tmp_path):
        with pytest.raises(ConfigError, match=r'must'):
            prepare_images(source, folder, Recipe(4))
    with pytest.raises(ConfigError, match='no such folder'):
        prepare_images(tmp_path / 'nowhere', tmp_path / 'out', Recipe(4))
    for path in source.glob('*.png'):
        path.write_bytes(b'')
    with pytest.raises(ConfigError, match='no file is readable'):
        prepare_images(source, tmp_path / 'out', Recipe(4))


def test_the_working_directory_is_no_destination(source, tmp_path, monkeypatch):
    many(source, 2)
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path / 'empty')
    for folder in ('.', 'nowhere/..', tmp_path / 'empty'):
        with pytest.raises(ConfigError, match='must be a folder of its own'):
            prepare_images(source, Path(folder), Recipe(4))
    with pytest.raises(ConfigError, match='must be a new or empty folder'):
        prepare_images(source, Path('../nowhere/..'), Recipe(4))
    done = prepare_images(source, Path('../nowhere/../out'), Recipe(4))
    assert done.written == {'.': len(content(tmp_path / 'out'))} == {'.': 2}


def test_a_destination_below_a_file_is_refused(source, tmp_path):
    many(source, 2)
    (tmp_path / 'file').write_text('mine')
    for below in ('out', 'new/out'):
        with pytest.raises(ConfigError, match=r'out must not lie below the file .*file$'):
            prepare_images(source, tmp_path / 'file' / below, Recipe(4))
    assert (tmp_path / 'file').read_text() == 'mine'


@pytest.mark.parametrize('broken', ['train', 'test'])
def test_a_side_without_a_readable_file_is_refused(source, tmp_path, broken):
    many(source, 8)
    (source / 'notes.txt').touch()
    prepare_images(source, tmp_path / 'good', Recipe(4, test=0.25))
    for path in (tmp_path / 'good' / broken).iterdir():
        (source / path.name).write_bytes(b'no image')
    with pytest.raises(ConfigError, match=rf'no file for {broken} is readable; .*_\d\.png'):
        prepare_images(source, tmp_path / 'out', Recipe(4, test=0.25))
    assert not list(tmp_path.glob('out*'))


def test_an_empty_folder_may_be_there(source, tmp_path):
    many(source, 2)
    (tmp_path / 'out').mkdir()
    assert prepare_images(source, tmp_path / 'out', Recipe(4)).written == {'.': 2}
    assert len(content(tmp_path / 'out')) == 2
