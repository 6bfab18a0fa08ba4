# RG-SNGAN on the first 36 of the digits' training images.
_base_ = ['./sngan_digits_36.py', './_base_/rg_hooks.py']

# Thresholds learn as fast as the weights.
rg_hooks = dict(pruning=dict(lam=None, keep_ratio=0.8, out_of_reach='warn', lr=4e-4))
