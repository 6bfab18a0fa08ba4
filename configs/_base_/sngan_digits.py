# The unconditional SNGAN at 16x16: hinge loss, averaged generator, one generator step
# in five. Same blocks as at 32x32, one scale less, 24 channels.
channels = 24
noise_size = 32

model = dict(
    type='GGAN',
    data_preprocessor=dict(type='DataPreprocessor', output_channel_order='RGB'),
    noise_size=noise_size,
    discriminator_steps=5,
    # MMEngine's momentum is 1 - decay. The published decay is 0.999 over some 16,000
    # generator steps; these runs have 1,600, over which it would lag behind.
    ema_config=dict(type='ExponentialMovingAverage', momentum=0.01),
    generator=dict(
        type='SNGANGenerator',
        output_scale=16,
        base_channels=channels,
        channels_cfg=[1, 1],
        num_classes=0,
        use_cbn=False,
        norm_eps=1e-5,
    ),
    discriminator=dict(
        type='ProjDiscriminator',
        input_scale=16,
        base_channels=channels,
        channels_cfg=[1, 1],
        downsample_cfg=[True, False],
        num_classes=0,
    ),
)

optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-4, betas=(0.0, 0.9))),
    discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-4, betas=(0.0, 0.9))),
)
