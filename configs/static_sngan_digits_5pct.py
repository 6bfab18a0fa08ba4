# Static pruning on the first 5 % of the digits' training images.
_base_ = ['./sngan_digits_5pct.py', './_base_/static_hooks.py']
