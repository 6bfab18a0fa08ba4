# The digits that scikit-learn ships, 16x16; FID on features of the digits network
# against the test split. Nothing is downloaded.
_base_ = './runtime.py'

train_images = 1437
epochs = 1600
eval_epochs = 25

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='Digits',
        split='train',
        image_size=16,
        data_ratio=1.0,
        pipeline=[dict(type='PackInputs')],
    ),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='Digits', split='test', image_size=16, pipeline=[dict(type='PackInputs')]),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='Evaluator',
    metrics=[dict(type='GANMetrics', values=['fid'], fake_nums=2000, extractor='digits')],
)
test_evaluator = val_evaluator

metric = 'digits/fid'
default_hooks = dict(checkpoint=dict(save_best=metric))
custom_hooks = [*_base_.custom_hooks, dict(type='CurvesHook')]

train_cfg = dict(by_epoch=False)
