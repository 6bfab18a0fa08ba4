# Dense SNGAN with DiffAugment on the first 10 % of CIFAR-10's training images.
_base_ = ['./sngan_cifar10_10pct.py', './_base_/diffaug.py']
