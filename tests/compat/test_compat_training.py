import pytest
import torch
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import Dataset

ADAM = dict(type='Adam', lr=2e-4, betas=(0, 0.99))
MODEL = dict(
    type='DCGAN',
    noise_size=4,
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(type='DCGANGenerator', output_scale=8, base_channels=4, noise_size=4),
    discriminator=dict(
        type='DCGANDiscriminator', input_scale=8, output_scale=4, out_channels=1, base_channels=4
    ),
)


@DATASETS.register_module(name='CompatNoise')
class Noise(Dataset):
    """Eight images of random bytes."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
        return dict(inputs=image, data_samples=DataSample(gt_img=image))


@pytest.fixture
def make_runner(tmp_path):
    def make(name, **more):
        cfg = Config(
            dict(
                train_dataloader=dict(
                    batch_size=4,
                    num_workers=0,
                    dataset=dict(type='CompatNoise'),
                    sampler=dict(type='InfiniteSampler'),
                    collate_fn=dict(type='pseudo_collate'),
                ),
                default_scope='mmagic',
                experiment_name=f'{tmp_path.name}_{name}',
                work_dir=str(tmp_path),
                model=MODEL,
                optim_wrapper=dict(
                    constructor='MultiOptimWrapperConstructor',
                    generator=dict(optimizer=ADAM),
                    discriminator=dict(optimizer=ADAM),
                ),
                default_hooks=dict(
                    checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)
                ),
                **more,
            )
        )
        return Runner.from_cfg(cfg)

    return make


def test_a_stock_dcgan_trains_saves_and_resumes(make_runner):
    first = make_runner('first', train_cfg=dict(by_epoch=False, max_iters=2))
    first.train()
    saved = {name: value.clone() for name, value in first.model.state_dict().items()}

    again = make_runner('again', train_cfg=dict(by_epoch=False, max_iters=4), resume=True)
    again.load_or_resume()
    assert again.iter == 2
    for name, value in again.model.state_dict().items():
        assert torch.equal(value, saved[name]), name
    again.train()
    assert again.iter == 4
