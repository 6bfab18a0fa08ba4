# What does a generator without some of its channels cost? Beside it as many weights pruned one by
# one. Pruned throughout, so that the last checkpoint has the size; the discriminator is whole.
# Of the generator's 34,824 weights 20,736 make or read channels that can be cut.
metric = 'digits/fid'
seeds = [0, 1, 2]
baseline = 'dense'


def pruned(granularity, keep_ratio):
    changes = dict(granularity=granularity, keep_ratio=keep_ratio, lam=None, networks=['generator'])
    return dict(
        config='configs/rg_sngan_digits_10pct.py',
        changes={
            'rg_hooks.dense_merge': None,
            **{f'rg_hooks.pruning.{name}': value for name, value in changes.items()},
        },
    )


methods = {
    'dense': dict(config='configs/sngan_digits_10pct.py'),
    'channel_0.7': pruned('channel', 0.7),
    'weight_0.82': pruned('weight', 1 - 0.3 * 20_736 / 34_824),  # as many weights are left
    'channel_0.5': pruned('channel', 0.5),
    'weight_0.70': pruned('weight', 1 - 0.5 * 20_736 / 34_824),
}
