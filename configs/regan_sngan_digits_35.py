# Re-GAN on the first 35 of the digits' training images.
_base_ = ['./sngan_digits_35.py', './_base_/regan_hooks.py']

# An epoch is two iterations here: a warm-up of 200 epochs, stretches of 100.
baseline_hooks = dict(regan=dict(warmup=400, interval=200))
