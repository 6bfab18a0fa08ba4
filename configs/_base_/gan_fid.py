# FID for a config of MMagic's that evaluates otherwise or at greater cost; a config sets
# val_evaluator and test_evaluator to it. sample_model='ema' where the model has an average.
gan_fid = dict(
    _delete_=True,
    type='Evaluator',
    metrics=[
        dict(
            type='GANMetrics',
            values=['fid'],
            fake_nums=5000,
            extractor=dict(type='InceptionExtractor'),
            sample_model='orig',
        )
    ],
)
