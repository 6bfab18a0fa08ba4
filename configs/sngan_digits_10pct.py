# Dense baseline on the first 10 % of the digits' training images.
_base_ = ['./_base_/sngan_digits.py', './_base_/digits.py']

from rggan_mm.schedule import train_schedule  # noqa: E402

train_dataloader = dict(dataset=dict(data_ratio=0.1))
train_cfg = train_schedule(_base_, **train_dataloader['dataset'])
