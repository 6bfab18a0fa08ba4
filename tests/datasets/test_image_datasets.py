"""Our reader in MMagic's data sets, and where it takes their place."""

import copy

import numpy as np
import pytest
from mmagic.datasets import BasicImageDataset
from mmagic.datasets.transforms import LoadImageFromFile
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

from rggan_mm.datasets import GrowingImageFiles, ImageFiles, ReadImageFile
from rggan_mm.datasets.image_datasets import with_our_reader
from rggan_mm.errors import ConfigError
from rggan_mm.training import SafeRunner


@pytest.fixture
def photos(tmp_path):
    draw = np.random.RandomState(0)
    for name, shape in {'b.png': (6, 9), 'a.PNG': (6, 6), 'c/d.webp': (9, 6)}.items():
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.randint(0, 256, (*shape, 3)).astype('u1')).save(path, lossless=True)
    return tmp_path / 'photos'


def loader(photos, workers=0, **dataset):
    steps = [dict(type='LoadImageFromFile', key='gt'), dict(type='PackInputs')]
    given = dict(
        type='BasicImageDataset', data_root=str(photos), data_prefix=dict(gt=''), pipeline=steps
    )
    return dict(
        batch_size=1,
        num_workers=workers,
        dataset={**given, **dataset},
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )


def names(dataset):
    return [dataset.get_data_info(index)['gt_path'] for index in range(len(dataset))]


def test_a_run_of_ours_reads_stock_configs_with_our_reader(photos):
    init_default_scope('mmagic')
    given = loader(photos)
    before = copy.deepcopy(given)
    ours, stock = (kind.build_dataloader(given).dataset for kind in (SafeRunner, Runner))
    assert given == before
    assert (type(ours), type(stock)) == (ImageFiles, BasicImageDataset)
    assert type(ours.pipeline.transforms[0]) is ReadImageFile
    assert names(ours) == [str(photos / name) for name in ('a.PNG', 'b.png', 'c/d.webp')]
    assert ours.name == 'folder photos train'
    by_path = dict(zip(names(stock), range(9), strict=False))
    for index, path in enumerate(names(ours)[:2]):
        theirs = stock[by_path[path]]['data_samples'].gt_img
        assert (ours[index]['data_samples'].gt_img == theirs).all()  # BGR, lossless


def test_the_place_of_stock_classes_is_taken_wherever_they_stand(photos):
    nested = dict(type='RepeatDataset', times=2, dataset=loader(photos)['dataset'])
    changed = with_our_reader(dict(dataset=nested))['dataset']
    assert changed['dataset']['type'] is ImageFiles
    growing = dict(type='mmagic.GrowScaleImgDataset', data_roots={'4': str(photos)}, pipeline=[])
    assert with_our_reader(dict(dataset=growing))['dataset']['type'] is GrowingImageFiles


def test_classes_of_others_stay(photos):
    class Own(BasicImageDataset):
        pass

    own = loader(photos, type=Own, pipeline=[dict(type='PackInputs')])
    assert with_our_reader(own) == own
    assert with_our_reader('no config') == 'no config'


def test_growing_images_are_in_the_order_of_their_names(photos):
    steps = [dict(type='LoadImageFromFile', key='gt')]
    dataset = GrowingImageFiles({'4': str(photos)}, steps, len_per_stage=6)
    found = [str(photos / name) for name in ('a.PNG', 'b.png', 'c/d.webp')]
    assert dataset.data_list == found * 2


@pytest.mark.parametrize(('square', 'shape'), [('crop', (6, 6)), ('pad', (9, 9)), (None, (6, 9))])
def test_an_option_makes_images_square(photos, square, shape):
    read = ReadImageFile('gt', square=square, background=(1, 2, 3))
    image = read(dict(gt_path=str(photos / 'b.png')))['gt']
    assert image.shape[:2] == shape
    if square == 'pad':
        assert tuple(image[0, 0]) == (3, 2, 1)  # BGR


def test_one_says_what_becomes_of_images_that_are_not_square(photos, monkeypatch):
    said = []
    monkeypatch.setattr(
        'rggan_mm.datasets.image_datasets.print_log', lambda text, *_: said.append(text)
    )
    steps = [dict(type='ReadImageFile', key='gt', square='crop')]
    dataset = ImageFiles(data_root=str(photos), data_prefix=dict(gt=''), pipeline=steps)
    dataset.full_init()
    assert len(said) == 2
    assert '3 images, 1 of them in subfolders' in said[0]
    assert '2 of 3 images are not square' in said[1]


def test_arguments_of_the_stock_reader_are_kept(photos):
    for options in ({'channel_order': 'rgb'}, {'color_type': 'grayscale'}, {'use_cache': True}):
        ours, stock = (
            kind('gt', to_float32=True, **options)(dict(gt_path=str(photos / 'b.png')))
            for kind in (ReadImageFile, LoadImageFromFile)
        )
        assert ours['gt'].shape == stock['gt'].shape
        assert ours['gt'].dtype == stock['gt'].dtype == np.float32
        assert abs(ours['gt'] - stock['gt']).max() <= 1


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('options', [{}, {'imdecode_backend': 'cv2'}])
def test_a_damaged_image_is_named_in_one_line(photos, workers, options):
    init_default_scope('mmagic')
    steps = [dict(type='LoadImageFromFile', key='gt', **options), dict(type='PackInputs')]
    built = SafeRunner.build_dataloader(loader(photos, workers, pipeline=steps))
    (photos / 'b.png').write_bytes((photos / 'b.png').read_bytes()[:40])
    with pytest.raises(ConfigError, match=r'image .*b\.png is not readable') as caught:
        list(built)
    assert '\n' not in str(caught.value)


def test_wrong_arguments_are_refused(photos):
    with pytest.raises(ConfigError, match="square='stretch' must be one of crop, pad, None"):
        ReadImageFile('gt', square='stretch')
    with pytest.raises(ConfigError, match='must be a colour'):
        ReadImageFile('gt', background='nothing')
    with pytest.raises(ConfigError, match=r'0 images; skipped: 2 \.png'):
        ImageFiles(data_root=str(photos), data_prefix=dict(gt=''), img_suffix='.tif')
