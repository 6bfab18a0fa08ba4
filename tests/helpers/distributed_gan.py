"""A tiny GAN that trains in any number of processes on the CPU."""

import os
from collections import OrderedDict
from functools import partial

import pytest
import torch
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.registry import DATASETS
from processes import run_together
from torch.utils.data import Dataset

from rggan_mm.training import SafeRunner

needs_cpu = pytest.mark.skipif(
    torch.cuda.is_available(), reason='several processes need a GPU each, or a machine without'
)
ADAM = dict(optimizer=dict(type='Adam', lr=0.01, betas=(0.0, 0.9)))
SIZE = dict(base_channels=4, out_channels=3)
MODEL = dict(
    type='DCGAN',
    noise_size=4,
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(type='DCGANGenerator', output_scale=8, noise_size=4, **SIZE),
    discriminator=dict(
        type='DCGANDiscriminator', input_scale=8, output_scale=4, **{**SIZE, 'out_channels': 1}
    ),
    ema_config=dict(type='ExponentialMovingAverage', momentum=0.1),
)


@DATASETS.register_module(name='DistributedGanNoise')
class Noise(Dataset):
    """Sixteen images of fixed random bytes."""

    def __len__(self):
        return 16

    def __getitem__(self, index):
        source = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=source)
        return dict(inputs=image, data_samples=DataSample(gt_img=image))


def make_runner(folder, name, world=1, **changes):
    """A runner that saves every second iteration of two."""
    config = Config(
        dict(
            default_scope='mmagic',
            experiment_name=f'{folder.name}_{name}',
            work_dir=str(folder),
            launcher='none' if world == 1 else 'pytorch',
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
            model=MODEL,
            model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel'),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                dataset=dict(type='DistributedGanNoise'),
                sampler=dict(type='InfiniteSampler'),
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(by_epoch=False, max_iters=2),
            optim_wrapper=dict(
                constructor='MultiOptimWrapperConstructor', generator=ADAM, discriminator=ADAM
            ),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)),
        )
    )
    config.merge_from_dict(changes)
    if world == 1:
        config.pop('model_wrapper_cfg')
    return SafeRunner.from_cfg(config)


def in_processes(world, folder, work):
    """Runs ``work(make)`` in so many processes; ``make(name, **changes)`` makes a runner."""
    store = folder / f'store_{len(list(folder.glob("store_*")))}'
    store.mkdir()
    run_together(partial(_work, world=world, folder=folder, work=work), store, world)


def _work(rank, _, world, folder, work):
    os.environ['LOCAL_RANK'] = str(rank)
    work(partial(make_runner, folder, world=world))


def weights(runner):
    """The model's weights under the names of a model that is not wrapped."""
    model = runner.model.module if hasattr(runner.model, 'module') else runner.model
    names = [name.split('.', 1) for name, _ in model.state_dict().items()]
    assert not any(rest.startswith('module.') for net, rest in names if net != 'generator_ema')
    return OrderedDict((name, value.clone()) for name, value in model.state_dict().items())
