# The first 20 % of CIFAR-10's training images.
_base_ = './cifar10.py'

from rggan_mm.schedule import train_schedule  # noqa: E402

train_dataloader = dict(dataset=dict(data_ratio=0.2))
train_cfg = train_schedule(_base_, **train_dataloader['dataset'])
