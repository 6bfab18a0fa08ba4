# The published unconditional SNGAN at 32x32 with its evaluation: 4,276,739 and 1,053,824
# parameters, hinge loss, one generator step in five. Xavier weights, gain sqrt(2) in the
# residual convolutions and 1 elsewhere (MMagic calls that SNGAN), biases 0.
_base_ = './published_evaluation.py'

model = dict(
    type='GGAN',
    # MMagic's FID and IS take generated images for BGR.
    data_preprocessor=dict(type='DataPreprocessor', output_channel_order='BGR'),
    noise_size=128,
    discriminator_steps=5,
    # MMEngine's momentum is 1 - decay.
    ema_config=dict(type='ExponentialMovingAverage', momentum=0.001),
    generator=dict(
        type='SNGANGenerator',
        output_scale=32,
        base_channels=256,
        num_classes=0,
        use_cbn=False,
        norm_eps=1e-5,
        init_cfg=dict(type='SNGAN'),
    ),
    discriminator=dict(
        type='SNGANDiscriminator',
        input_scale=32,
        base_channels=128,
        num_classes=0,
        init_cfg=dict(type='SNGAN'),
    ),
)

optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.0, 0.9))),
    discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.0, 0.9))),
)
