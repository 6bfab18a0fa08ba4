# SAGAN on the first 10 % of CIFAR-10's training images, class-conditional.
_base_ = [
    'mmagic::sagan/sagan_woReLUinplace_lr2e-4-ndisc5-1xb64_cifar10-32x32.py',
    './_base_/rg.py',
    './_base_/diffaug.py',
    './_base_/gan_fid.py',
    './_base_/cifar10_few.py',
]

train_dataloader = dict(num_workers=4, dataset=_base_.few_cifar10)
val_dataloader = dict(batch_size=64, num_workers=4, dataset=_base_.cifar10_test)
test_dataloader = val_dataloader

val_evaluator = _base_.gan_fid
val_evaluator['metrics'][0].update(fake_nums=10_000)
test_evaluator = val_evaluator
# 1,000 epochs of 5,000 images; five steps of the discriminator for one of the generator.
train_cfg = dict(max_iters=79_000, val_interval=790)
default_hooks = dict(
    checkpoint=dict(interval=7900, max_keep_ckpts=2, save_best='inception/fid', rule='less')
)
