# RG-SNGAN on the 105 faces that docs/configs.md prepares, at 32x32.
_base_ = ['./sngan_faces_32.py', './_base_/rg_hooks.py']

# As published, RG runs start with gain 1 everywhere (MMagic calls that SAGAN).
model = dict(
    generator=dict(init_cfg=dict(type='SAGAN')),
    discriminator=dict(init_cfg=dict(type='SAGAN')),
)
# choose_lambda.py CONFIG --keep-ratio 0.8 --sparse-share 0.6: 80 % of the initial weights are
# left in the end if 60 % of the run is sparse.
rg_hooks = dict(pruning=dict(lam=dict(_delete_=True, generator=1.59e-10, discriminator=3.32e-11)))
