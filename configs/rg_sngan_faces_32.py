# RG-SNGAN on the 105 faces that docs/configs.md prepares, at 32x32.
_base_ = ['./sngan_faces_32.py', './_base_/rg_hooks.py']

# As published, RG runs start with gain 1 everywhere (MMagic calls that SAGAN).
model = dict(
    generator=dict(init_cfg=dict(type='SAGAN')),
    discriminator=dict(init_cfg=dict(type='SAGAN')),
)
rg_hooks = dict(pruning=dict(lam=None, keep_ratio=0.8, out_of_reach='warn'))
