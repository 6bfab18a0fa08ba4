# Dynamic sparse training (SDST) on the first 5 % of the digits' training images.
_base_ = ['./sngan_digits_5pct.py', './_base_/sdst_hooks.py']

# One generator step in five iterations, 2,400 in all: 24 changes.
baseline_hooks = dict(dynamic_sparse=dict(interval=100))
