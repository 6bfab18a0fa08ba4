# The published SNGAN on the 105 faces that docs/configs.md prepares, at 32x32.
_base_ = ['./_base_/sngan_cifar10.py', './_base_/faces_32.py']

val_evaluator = _base_.faces_fid
test_evaluator = _base_.faces_fid
metric = 'efficientnet/fid'
default_hooks = dict(checkpoint=dict(interval=1000, save_best=metric))
