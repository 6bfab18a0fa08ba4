# CycleGAN on the facades, 400 images a domain; MMagic's own FID of translations.
_base_ = ['mmagic::cyclegan/cyclegan_lsgan-resnet-in_1xb1-80kiters_facades.py', './_base_/rg.py']

# The phase rule acts from the fifth evaluation on.
train_cfg = dict(val_interval=2000)
