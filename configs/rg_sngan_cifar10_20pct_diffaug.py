# RG-SNGAN with DiffAugment on the first 20 % of CIFAR-10's training images.
_base_ = ['./rg_sngan_cifar10_20pct.py', './_base_/diffaug.py']
