# WGAN-GP at 128x128 on a folder of a few hundred to a few thousand images. The gradient
# penalty goes through the masked weights. MMEngine takes no dash right after mmagic::.
_base_ = [
    'mmagic::dcgan/../wgan-gp/wgangp_GN_1xb64-160kiters_celeba-cropped-128x128.py',
    './_base_/rg.py',
    './_base_/diffaug.py',
    './_base_/gan_fid.py',
]

# The order in which the images are read; evaluating a checkpoint asks for it.
model = dict(data_preprocessor=dict(output_channel_order='BGR'))
# What is not square: 'pad' adds background, 'crop' takes the middle, None squashes.
read = dict(type='ReadImageFile', key='gt', square='pad', background='white')
resize, pack = _base_.train_dataloader.dataset.pipeline[1:]
pipeline = [read, resize, pack]
data_root = 'data/few_images'
images = dict(type='ImageFiles', data_root=data_root, pipeline=pipeline)
train_dataloader = dict(dataset=images)
val_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=images)

val_evaluator = _base_.gan_fid
test_evaluator = _base_.gan_fid
train_cfg = dict(max_iters=50_000, val_interval=1000)
default_hooks = dict(
    checkpoint=dict(interval=5000, max_keep_ckpts=2, save_best='inception/fid', rule='less')
)
