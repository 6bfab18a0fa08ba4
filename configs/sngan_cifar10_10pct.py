# Dense SNGAN on the first 10 % of CIFAR-10's training images.
_base_ = ['./_base_/sngan_cifar10.py', './_base_/cifar10_10pct.py']
