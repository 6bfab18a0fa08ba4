# RG-SNGAN on the first 10 % of the digits' training images.
_base_ = ['./sngan_digits_10pct.py', './_base_/rg_hooks.py']

# Thresholds learn as fast as the weights; lam is larger than published because the run
# is shorter (a threshold moves by lr * lam / (lam + 1e-8) per step).
rg_hooks = dict(pruning=dict(lam=7e-11, lr=4e-4))
