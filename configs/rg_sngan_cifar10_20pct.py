# RG-SNGAN on the first 20 % of CIFAR-10's training images.
_base_ = ['./_base_/rg_sngan_cifar10.py', './_base_/cifar10_20pct.py']
