# The same on the first 5 % of the digits' training images, 71 of them.
_base_ = './sngan_digits_35.py'

train_dataloader = dict(dataset=dict(data_ratio=0.05))
