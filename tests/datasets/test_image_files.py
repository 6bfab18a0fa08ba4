"""One reader of image files: which there are, and their pixels."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from rggan_mm.datasets.image_files import (
    check_background,
    list_images,
    look_at,
    made_square,
    read_image,
    read_like_pytorch_fid,
)
from rggan_mm.errors import ConfigError


def pixels(height=6, width=9, channels=3, seed=0, kind=np.uint8):
    shape = (height, width, channels)[: 2 + (channels > 1)]
    return np.random.RandomState(seed).randint(0, np.iinfo(kind).max + 1, shape).astype(kind)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b'')


def test_files_are_listed_by_name_with_what_was_skipped(tmp_path):
    touch(tmp_path, 'b.JPG', 'a.png', 'c.WebP', 'x/d.tiff', 'x/y/e.Png')
    touch(tmp_path, 'n.txt', 'f.heic', 'README', '.hidden.png', '.cache/z.png', '__MACOSX/a.png')
    found = list_images(tmp_path)
    assert found.names == ['a.png', 'b.JPG', 'c.WebP', 'x/d.tiff', 'x/y/e.Png']
    expected = {'.txt': 1, '.heic': 1, 'without ending': 1, 'hidden': 3}
    assert found.skipped == expected
    assert 'README' not in found.summary()
    assert '5 images, 2 of them in subfolders; skipped: 3 hidden' in found.summary()
    flat = list_images(tmp_path, recursive=False)
    assert (len(flat.names), flat.skipped['subfolders (recursive=False)']) == (3, 1)


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path, 'a/1.png', 'b/2.png')
    os.symlink(tmp_path, tmp_path / 'b' / 'up')
    os.symlink(tmp_path / 'a', tmp_path / 'again')
    found = list_images(tmp_path)
    assert (found.names, found.skipped['folder seen before']) == (['a/1.png', 'b/2.png'], 2)


def test_a_folder_without_images_is_named(tmp_path):
    touch(tmp_path, 'a.heic', 'b.heic')
    with pytest.raises(ConfigError, match=r'0 images; skipped: 2 \.heic; images end in'):
        list_images(tmp_path)
    with pytest.raises(FileNotFoundError):
        list_images(tmp_path / 'nowhere')


@pytest.mark.parametrize('end', ['png', 'bmp', 'ppm', 'tif'])
def test_plain_images_come_back(tmp_path, end):
    image = pixels()
    Image.fromarray(image).save(path := tmp_path / f'a.{end}')
    np.testing.assert_array_equal(read_image(path), image)
    np.testing.assert_array_equal(read_image('elsewhere', content=path.read_bytes()), image)


@pytest.mark.parametrize('end', ['png', 'tif', 'pgm'])
@pytest.mark.parametrize('channels', [1, 3])
def test_16_bits_are_scaled_as_opencv_does(tmp_path, end, channels):
    if (end, channels) in (('pgm', 3), ('tif', 3)):
        pytest.skip('Pillow reads none')
    image = pixels(channels=channels, kind=np.uint16)
    cv2.imwrite(str(path := tmp_path / f'a.{end}'), image)
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_an_orientation_is_applied_as_opencv_does(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = Image.fromarray(pixels(2, 3)).resize((48, 32), Image.BICUBIC)
    smooth.save(path := tmp_path / 'a.jpg', exif=exif, quality=95)
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    found = read_image(path)
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= 3
    assert read_like_pytorch_fid(path).shape == (32, 48, 3)


@pytest.mark.parametrize('background', ['white', '#204060', (0, 0, 0)])
def test_alpha_lies_on_the_background(tmp_path, background):
    image = pixels(channels=4)
    image[0, 0], image[1, 1] = (9, 8, 7, 0), (9, 8, 7, 255)
    Image.fromarray(image).save(path := tmp_path / 'a.png')
    colour = check_background(background)
    share = image[..., 3:] / 255
    found = read_image(path, colour)
    assert abs(found - (image[..., :3] * share + np.array(colour) * (1 - share))).max() <= 1
    assert tuple(found[0, 0]) == colour
    assert tuple(found[1, 1]) == tuple(read_like_pytorch_fid(path)[0, 0]) == (9, 8, 7)


def test_a_transparent_colour_of_a_palette_lies_on_the_background(tmp_path):
    image = Image.new('P', (4, 4), 1)
    image.putpalette([0, 0, 0, 250, 10, 10])
    image.putpixel((0, 0), 0)
    image.save(path := tmp_path / 'a.png', transparency=0)
    found = read_image(path)
    assert (tuple(found[0, 0]), tuple(found[1, 1])) == ((255, 255, 255), (250, 10, 10))


def cut_in_half(path):
    Image.fromarray(pixels(64, 64)).save(path, 'PNG')
    path.write_bytes(path.read_bytes()[:2000])


DAMAGED = {
    'empty.png': lambda path: path.write_bytes(b''),
    'page.jpg': lambda path: path.write_text('<html>404</html>'),
    'cut.png': cut_in_half,
    'header.ppm': lambda path: path.write_bytes(b'P6\n-1 x\n255\n000'),
    'big.png': lambda path: Image.new('1', (14000, 14000)).save(path),
    'float.tif': lambda path: Image.fromarray(np.ones((4, 4), np.float32)).save(path),
    'integers.tif': lambda path: Image.fromarray(np.ones((4, 4), np.int32)).save(path),
    'gone.png': lambda path: path.symlink_to(path.parent / 'nowhere'),
}


@pytest.mark.parametrize('name', DAMAGED)
def test_damaged_files_are_named_in_one_line(tmp_path, name):
    DAMAGED[name](tmp_path / name)
    with pytest.raises(ConfigError, match=name) as caught:
        read_image(tmp_path / name)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('shape', [(6, 9, 3), (9, 6, 3), (9, 6), (7, 7, 3)])
def test_images_are_made_square(shape):
    image = pixels(*shape[:2], channels=len(shape) * 2 - 3)
    short, long = min(shape[:2]), max(shape[:2])
    cropped, padded = made_square(image, 'crop'), made_square(image, 'pad', (1, 2, 3))
    assert cropped.shape[:2] == (short, short)
    assert padded.shape[:2] == (long, long)
    np.testing.assert_array_equal(made_square(padded, 'crop'), padded)
    top, left = (shape[0] - short) // 2, (shape[1] - short) // 2
    np.testing.assert_array_equal(cropped, image[top : top + short, left : left + short])
    inside = padded[(long - shape[0]) // 2 :, (long - shape[1]) // 2 :]
    np.testing.assert_array_equal(inside[: shape[0], : shape[1]], image)
    if short < long:
        assert tuple(np.atleast_1d(padded[0, 0])) == (1, 2, 3)[: 3 if image.ndim == 3 else 1]
    assert made_square(image, None) is image


def test_headers_tell_what_will_be_changed(tmp_path):
    paths = [tmp_path / f'{index}.png' for index in range(3)]
    for path, shape in zip(paths, [(4, 4, 3), (4, 5, 4), (6, 4, 3)], strict=True):
        Image.fromarray(pixels(*shape)).save(path)
    looks = look_at(paths)
    assert (looks.seen, looks.oblong, looks.transparent) == (3, 2, 1)


@pytest.mark.parametrize('background', ['none such', (1, 2), (1, 2, 300), (-1, 0, 0), None, 3])
def test_what_is_no_colour_is_refused(background):
    with pytest.raises(ConfigError, match='must be a colour'):
        check_background(background)
