# Re-GAN on the first 5 % of the digits' training images.
_base_ = ['./sngan_digits_5pct.py', './_base_/regan_hooks.py']

# An epoch is three iterations here: a warm-up of 200 epochs, stretches of 100.
baseline_hooks = dict(regan=dict(warmup=600, interval=300))
