# RG-SNGAN on the first 10 % of the digits' training images.
_base_ = ['./sngan_digits_10pct.py', './_base_/rg.py']

# Thresholds learn as fast as the weights; lam is larger than published because the run
# is shorter (a threshold moves by lr * lam / (lam + 1e-8) per step).
rg_hooks = _base_.rg_hooks
rg_hooks[0].update(lam=7e-11, lr=4e-4)
rg_hooks[2].update(metric=_base_.metric)
custom_hooks = [*rg_hooks, *_base_.custom_hooks]
