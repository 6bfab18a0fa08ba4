# A folder of some hundred images of 32x32; FID on features of EfficientNet-Lite0 against the
# training images, as with so few images none are held out. Another length of the run:
#   --cfg-options train_cfg.max_iters=40000 train_cfg.val_interval=2000
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='ImageFiles',
        data_root='data/faces_32',
        data_prefix=dict(gt=''),
        pipeline=[dict(type='ReadImageFile', key='gt'), dict(type='PackInputs')],
    ),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=train_dataloader['dataset'],
)
test_dataloader = val_dataloader

faces_fid = dict(
    type='Evaluator',
    metrics=[
        dict(
            type='GANMetrics',
            values=['fid'],
            fake_nums=5000,
            extractor='efficientnet',
            sample_model='ema',
        )
    ],
)

train_cfg = dict(by_epoch=False, max_iters=20_000, val_interval=1000)
