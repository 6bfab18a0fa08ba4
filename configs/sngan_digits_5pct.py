# Dense baseline on the first 5 % of the digits' training images, 71 of them: few enough for
# the discriminator to learn them by heart. 12,000 iterations of a narrow network.
_base_ = ['./_base_/sngan_digits.py', './_base_/digits.py']

from rggan_mm.schedule import train_schedule  # noqa: E402

model = dict(generator=dict(base_channels=16), discriminator=dict(base_channels=16))
epochs = 4000
eval_epochs = 80
train_dataloader = dict(dataset=dict(data_ratio=0.05))
train_cfg = train_schedule(
    dict(_base_, epochs=epochs, eval_epochs=eval_epochs), **train_dataloader['dataset']
)
