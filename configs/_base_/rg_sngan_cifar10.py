# The published SNGAN with RG-GAN. As published its weights start with gain 1 everywhere
# (MMagic calls that SAGAN).
_base_ = ['./sngan_cifar10.py', './rg_hooks.py']

model = dict(
    generator=dict(init_cfg=dict(type='SAGAN')),
    discriminator=dict(init_cfg=dict(type='SAGAN')),
)
