# Static pruning on the first 35 of the digits' training images.
_base_ = ['./sngan_digits_35.py', './_base_/static_hooks.py']
