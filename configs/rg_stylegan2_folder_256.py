# StyleGAN2 at 256x256 on a folder of 100 to a few thousand images (few-shot), one GPU.
# The mapping network stays dense: it is small and sees no images.
_base_ = [
    'mmagic::styleganv2/stylegan2_c2_8xb4-800kiters_ffhq-256x256.py',
    './_base_/rg.py',
    './_base_/diffaug.py',
    './_base_/gan_fid.py',
]
batch_size = 16
data_root = 'data/few_images'

# The order in which the images are read; evaluating a checkpoint asks for it.
model = dict(data_preprocessor=dict(output_channel_order='BGR'))
rg_hooks = dict(
    pruning=dict(exclude=['generator.style_mapping']),
    # The average's half-life, whatever the batch size; MMagic's momentum is for 32 images.
    half_life=dict(type='AverageHalfLifeHook', images=10_000),
)

resize = dict(type='Resize', keys='gt', scale=(256, 256), interpolation='lanczos', backend='pillow')
# What is not square: 'pad' adds background, 'crop' takes the middle, None squashes.
read = dict(type='ReadImageFile', key='gt', square='pad', background='white')
flip, pack = _base_.train_dataloader.dataset.pipeline[1:]
train_pipeline = [read, resize, flip, pack]
val_pipeline = [read, resize, pack]
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(type='ImageFiles', data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(type='ImageFiles', data_root=data_root, pipeline=val_pipeline),
)
test_dataloader = val_dataloader

val_evaluator = _base_.gan_fid
val_evaluator['metrics'][0].update(sample_model='ema')
test_evaluator = val_evaluator
train_cfg = dict(max_iters=20_000, val_interval=500)
default_hooks = dict(
    checkpoint=dict(interval=2000, max_keep_ckpts=2, save_best='inception/fid', rule='less')
)
