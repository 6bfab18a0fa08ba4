# A small DCGAN on the 105 faces that docs/configs.md prepares, at 32x32: it shows faces after some
# minutes on one thread of a CPU. Without augmentation the discriminator soon knows them by heart.
_base_ = ['./_base_/runtime.py', './_base_/faces_32.py']

model = dict(
    type='DCGAN',
    noise_size=64,
    data_preprocessor=dict(type='DataPreprocessor', output_channel_order='RGB'),
    ema_config=dict(type='ExponentialMovingAverage', momentum=0.005),
    generator=dict(type='DCGANGenerator', output_scale=32, base_channels=192),
    discriminator=dict(
        type='DCGANDiscriminator', input_scale=32, output_scale=4, out_channels=1, base_channels=32
    ),
)
adam = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999)))
optim_wrapper = dict(constructor='MultiOptimWrapperConstructor', generator=adam, discriminator=adam)

# All faces train. Every other one decides (phases, best checkpoint), those between report. Both
# together are what is usual: one set does both.
faces = dict(_base_.train_dataloader['dataset'])
reports = dict(held_out=dict(faces, indices=list(range(1, 105, 2))), all=faces)
train_dataloader = dict(batch_size=32, num_workers=0, persistent_workers=False)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(indices=list(range(0, 105, 2)))
)
test_dataloader = dict(num_workers=0, persistent_workers=False)

metric = 'efficientnet/fid'
val_evaluator = dict(
    type='Evaluator',
    metrics=[
        dict(
            type='GANMetrics',
            values=['fid'],
            fake_nums=500,
            extractor='efficientnet',
            reports=reports,
        )
    ],
)
test_evaluator = _base_.faces_fid

train_cfg = dict(max_iters=6000, val_interval=300)
default_hooks = dict(checkpoint=dict(save_best=metric))
custom_hooks = [*_base_.custom_hooks, dict(type='CurvesHook')]
