"""One rule for the colours of generated images, while training and of a checkpoint."""

import pytest
import torch
from gan_of_reals import ChannelStatistics, metric_of
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image
from tiny import ROOT, tiny_config, tiny_runner
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.config_sources import GeneratedImages, validation_loader

SHADE = (204, 102, 51)  # in the files, as red, green and blue
ORDER = 'model.data_preprocessor.output_channel_order'
EXAMPLES = sorted((ROOT / 'configs').glob('*_folder_*.py'))


class Seen(ChannelStatistics):
    """Keeps the images that the training's metric judges."""

    def forward(self, images):
        self.images = images
        return super().forward(images)


class Same(nn.Module):
    """Makes one image of any noise."""

    noise_size = 128

    def __init__(self, image):
        super().__init__()
        self.image = image

    def forward(self, noise, *_, **__):
        return self.image.expand(len(noise), -1, -1, -1)


def write_run(folder, data_order, model_order):
    """A config whose validation images are a folder of one colour, and untrained weights."""
    (folder / 'images').mkdir()
    for index in range(4):
        Image.new('RGB', (16, 16), SHADE).save(folder / 'images' / f'{index}.png')
    read = dict(type='ReadImageFile', key='gt', channel_order=data_order.lower())
    images = dict(
        _delete_=True,
        type='ImageFiles',
        data_root=str(folder / 'images'),
        data_prefix=dict(gt=''),
        pipeline=[read, dict(type='PackInputs')],
    )
    changes = {'custom_hooks': [], 'val_dataloader.dataset': images, ORDER: model_order}
    tiny_config(folder, **changes).dump(str(folder / 'config.py'))
    weights = tiny_runner(folder, **changes).model.state_dict()
    torch.save({'state_dict': weights, 'meta': {}}, folder / 'made.pth')
    return folder / 'config.py', folder / 'made.pth'


@pytest.mark.parametrize('model_order', [None, 'BGR', 'RGB'])
@pytest.mark.parametrize('data_order', ['BGR', 'RGB'])
def test_training_and_checkpoint_show_the_colours_of_the_files(tmp_path, data_order, model_order):
    source = GeneratedImages(*write_run(tmp_path, data_order, model_order), total=4)
    loader = validation_loader(source.runner)
    batch = pseudo_collate([loader.dataset[0]])
    real = source.model.data_preprocessor(batch, True)['data_samples'].gt_img
    source.model.generator_ema = Same(real)
    shade = torch.tensor(SHADE) / 255

    generated = torch.cat(list(source.batches()))
    assert source.order.upper() == (model_order or data_order)
    assert generated.shape == (4, 3, 16, 16)
    assert torch.allclose(generated[:, :, 0, 0], shade.expand(4, 3), atol=0.005)

    extractor = Seen()
    metric = metric_of(extractor=extractor, fake_nums=4, sample_model='ema')
    metric.prepare(source.model, loader)
    inputs = {'sample_model': 'ema', 'num_batches': 4}
    metric.process({}, [s.to_dict() for s in source.model.val_step({'inputs': inputs})])
    assert torch.allclose(extractor.images[:, :, 0, 0], shade.expand(4, 3), atol=0.005)


def test_an_order_that_nobody_tells_is_asked_for(tmp_path):
    config, checkpoint = write_run(tmp_path, 'BGR', None)
    for image in (tmp_path / 'images').iterdir():
        image.unlink()
    with pytest.raises(ConfigError, match=f'{ORDER} must be RGB or BGR'):
        GeneratedImages(config, checkpoint, total=4)


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_examples_on_folders_set_the_order_that_they_read(path):
    config = Config.fromfile(path)
    (read,) = (step for step in config.val_dataloader.dataset.pipeline if 'Read' in step['type'])
    order = config.model.data_preprocessor.output_channel_order
    assert order == read.get('channel_order', 'bgr').upper()


def test_there_are_examples_on_folders():
    assert len(EXAMPLES) == 3
