# Dense baseline on the first 10 % of the digits' training images.
_base_ = ['./_base_/runtime.py', './_base_/sngan_digits.py', './_base_/digits.py']

train_dataloader = dict(dataset=dict(data_ratio=0.1))
