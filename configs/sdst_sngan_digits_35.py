# Dynamic sparse training (SDST) on the first 35 of the digits' training images.
_base_ = ['./sngan_digits_35.py', './_base_/sdst_hooks.py']

# One generator step in three iterations, 2,400 in all: 24 changes.
baseline_hooks = dict(dynamic_sparse=dict(interval=100))
