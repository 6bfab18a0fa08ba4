# CycleGAN on the facades, 400 images a domain; MMagic's own FID of translations.
_base_ = ['mmagic::cyclegan/cyclegan_lsgan-resnet-in_1xb1-80kiters_facades.py', './_base_/rg.py']

# choose_lambda.py CONFIG --keep-ratio 0.8 --sparse-share 0.6: 80 % of the initial weights are
# left in the end if 60 % of the run is sparse.
rg_hooks = dict(pruning=dict(lam=5.3e-12))
# The phase rule acts from the fifth evaluation on.
train_cfg = dict(val_interval=2000)
