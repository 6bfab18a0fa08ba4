# The same on the first 5 % of the digits' training images, 71 of them.
_base_ = './rg_sngan_digits_35.py'

# Where dense runs are at their best is not known here: the default.
rg_hooks = dict(pruning=dict(reach=None))
train_dataloader = dict(dataset=dict(data_ratio=0.05))
