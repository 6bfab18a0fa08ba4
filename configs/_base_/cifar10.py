# CIFAR-10, downloaded once into data_root, and the published schedule.
train_images = 50_000
epochs = 1000
eval_epochs = 5

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CIFAR10Subset',
        data_root='data/cifar10',
        test_mode=False,
        data_ratio=1.0,
        pipeline=[
            # As published: no flip. train_dataloader.dataset.pipeline.0.flip_ratio=0.5 flips.
            dict(type='Flip', keys=['gt'], flip_ratio=0.0, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(train_dataloader['dataset'], test_mode=True, pipeline=[dict(type='PackInputs')]),
)
test_dataloader = val_dataloader

train_cfg = dict(by_epoch=False)
