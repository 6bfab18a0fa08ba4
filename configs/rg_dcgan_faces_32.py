# RG-DCGAN on the 105 faces that docs/configs.md prepares, at 32x32.
_base_ = ['./dcgan_faces_32.py', './_base_/rg_hooks.py']

# As for 35 digits: what is to be pruned is pruned before a dense run is at its best.
rg_hooks = dict(pruning=dict(lam=None, keep_ratio=0.8, reach=0.4, out_of_reach='warn'))
