"""A pure-Python config of MMEngine: types are classes, which it imports when it builds them."""

from mmagic.datasets.transforms import PackInputs
from mmagic.engine.runner import MultiValLoop
from mmagic.evaluation import Evaluator
from mmagic.models import DataPreprocessor
from mmagic.models.editors import GGAN
from mmagic.models.editors.sagan import ProjDiscriminator, SNGANGenerator
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.optim import OptimWrapper
from mmengine.runner import LogProcessor
from torch.optim import Adam

from rggan_mm.datasets import Digits
from rggan_mm.evaluation import GANMetrics

default_scope = 'mmagic'
model = dict(
    type=GGAN,
    data_preprocessor=dict(type=DataPreprocessor, output_channel_order='RGB'),
    noise_size=8,
    discriminator_steps=1,
    generator=dict(
        type=SNGANGenerator,
        output_scale=16,
        base_channels=4,
        channels_cfg=[1, 1],
        num_classes=0,
        use_cbn=False,
    ),
    discriminator=dict(
        type=ProjDiscriminator,
        input_scale=16,
        base_channels=4,
        channels_cfg=[1, 1],
        downsample_cfg=[True, False],
        num_classes=0,
    ),
)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type=OptimWrapper, optimizer=dict(type=Adam, lr=4e-4, betas=(0.0, 0.9))),
    discriminator=dict(type=OptimWrapper, optimizer=dict(type=Adam, lr=4e-4, betas=(0.0, 0.9))),
)
train_cfg = dict(by_epoch=False, max_iters=2, val_interval=2)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type=InfiniteSampler, shuffle=True),
    dataset=dict(type=Digits, split='train', image_size=16, pipeline=[dict(type=PackInputs)]),
)
val_cfg = dict(type=MultiValLoop)
val_dataloader = dict(
    batch_size=10,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(type=Digits, split='test', image_size=16, pipeline=[dict(type=PackInputs)]),
)
val_evaluator = dict(
    type=Evaluator,
    metrics=[
        dict(type=GANMetrics, values=['fid'], fake_nums=20, extractor='digits', sample_model='orig')
    ],
)
default_hooks = dict(
    logger=dict(type=LoggerHook, interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type=CheckpointHook, interval=2, by_epoch=False),
)
log_processor = dict(type=LogProcessor, by_epoch=False)
