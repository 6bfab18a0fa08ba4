# Static pruning on the first 36 of the digits' training images.
_base_ = ['./sngan_digits_36.py', './_base_/static_hooks.py']
