# BigGAN on the first 10 % of CIFAR-10's training images, class-conditional, one GPU.
_base_ = [
    'mmagic::biggan/biggan_2xb25-500kiters_cifar10-32x32.py',
    './_base_/rg.py',
    './_base_/diffaug.py',
    './_base_/gan_fid.py',
    './_base_/cifar10_few.py',
]

train_dataloader = dict(batch_size=50, num_workers=4, dataset=_base_.few_cifar10)
val_dataloader = dict(batch_size=50, num_workers=4, dataset=_base_.cifar10_test)
test_dataloader = val_dataloader

val_evaluator = _base_.gan_fid
val_evaluator['metrics'][0].update(sample_model='ema', fake_nums=10_000)
test_evaluator = val_evaluator
# 1,000 epochs of 5,000 images; four steps of the discriminator for one of the generator.
train_cfg = dict(max_iters=100_000, val_interval=1000)
default_hooks = dict(
    checkpoint=dict(interval=5000, max_keep_ckpts=2, save_best='inception/fid', rule='less')
)
