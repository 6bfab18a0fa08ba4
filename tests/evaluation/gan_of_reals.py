"""A GAN whose generator gives the training images back, for tests of metrics."""

import itertools

import torch
from mmagic.datasets.transforms import PackInputs
from mmagic.evaluation import Evaluator
from mmagic.models import GGAN, DataPreprocessor
from mmengine.dataset import pseudo_collate
from torch import nn
from torch.utils.data import DataLoader, Dataset

from rggan_mm.evaluation import GANMetrics


class ColourNoise(Dataset):
    """Random images with red, green and blue of different brightness."""

    def __init__(self, count=24, test_mode=True):
        generator = torch.Generator().manual_seed(0)
        pixels = torch.rand(count, 8, 8, 3, generator=generator)
        self.pixels = (pixels * torch.tensor([250, 120, 40])).byte().numpy()
        self.test_mode = test_mode
        self.reads = []

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        self.reads.append(index)
        return PackInputs()({'gt': self.pixels[index], 'gt_channel_order': 'RGB', 'gt_label': 0})


class ChannelStatistics(nn.Module):
    """Mean of each channel and one corner of it: six features, taken for three classes."""

    name = 'channels-v3'

    def forward(self, images):
        return torch.cat([images.mean((2, 3)), images[:, :, 0, 0]], dim=1)

    def classify(self, features):
        return 5 * features[:, 3:]


class Replay(nn.Module):
    """Gives stored images back, one after the other, over and over."""

    noise_size = 4

    def __init__(self, images):
        super().__init__()
        self.order = itertools.cycle(images)

    def forward(self, noise, return_noise=False):
        return torch.stack([next(self.order) for _ in noise])


def model_images(dataset, preprocessor, indices):
    """The images in the model's space: what its discriminator is trained on."""
    data = pseudo_collate([dataset[index] for index in indices])
    return preprocessor(data, True)['data_samples'].gt_img


def build(dataset, order=None, indices=None, images=None):
    """A GAN that replays images of the data set (or ``images``)."""
    preprocessor = DataPreprocessor(output_channel_order=order)
    if images is None:
        images = model_images(dataset, preprocessor, indices or range(len(dataset)))
        dataset.reads.clear()
    discriminator = nn.Linear(1, 1)
    return GGAN(Replay(images), discriminator, preprocessor, noise_size=4).eval()


def metric_of(**arguments):
    """The metric with these tests' extractor; FID alone unless other values are given."""
    defaults = {
        'values': ['fid'],
        'extractor': ChannelStatistics(),
        'sample_model': 'orig',
        'cache_dir': None,
    }
    return GANMetrics(**{**defaults, **arguments})


def evaluate(model, dataset, batch_size=5, rounds=1, **arguments):
    """Run the metric as MMagic's MultiValLoop does; the results of all rounds."""
    evaluator = Evaluator(metric_of(**arguments))
    loader = DataLoader(dataset, batch_size=batch_size)
    return [one_round(evaluator, model, loader) for _ in range(rounds)]


@torch.no_grad()
def one_round(evaluator, model, loader):
    evaluator.prepare_metrics(model, loader)
    for metrics, sampler in evaluator.prepare_samplers(model, loader):
        for batch in sampler:
            evaluator.process(model.val_step(batch), batch, metrics)
    return evaluator.evaluate()
