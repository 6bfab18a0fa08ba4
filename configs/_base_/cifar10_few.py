# The first 10 % of CIFAR-10's training images, flipped at random, and its test images, for
# configs of MMagic's that name CIFAR10.
few_cifar10 = dict(
    _delete_=True,
    type='CIFAR10Subset',
    data_root='data/cifar10',
    data_ratio=0.1,
    pipeline=[dict(type='Flip', keys=['gt'], direction='horizontal'), dict(type='PackInputs')],
)
cifar10_test = dict(
    _delete_=True,
    type='CIFAR10Subset',
    data_root='data/cifar10',
    test_mode=True,
    pipeline=[dict(type='PackInputs')],
)
