# Dense SNGAN on all of CIFAR-10's training images.
_base_ = ['./_base_/sngan_cifar10.py', './_base_/cifar10_100pct.py']
