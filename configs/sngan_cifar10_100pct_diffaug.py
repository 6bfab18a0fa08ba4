# Dense SNGAN with DiffAugment on all of CIFAR-10's training images.
_base_ = ['./sngan_cifar10_100pct.py', './_base_/diffaug.py']
