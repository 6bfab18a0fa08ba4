# RG-SNGAN on the first 35 of the digits' training images.
_base_ = ['./sngan_digits_35.py', './_base_/rg_hooks.py']

# Thresholds learn as fast as the weights. Dense runs are at their best at 0.4 to 0.5 of the length:
# what is to be pruned is pruned by then.
rg_hooks = dict(pruning=dict(lam=None, keep_ratio=0.8, reach=0.4, out_of_reach='warn', lr=4e-4))
