# 71 digits, few enough for the discriminator to learn them by heart: what does pruning bring,
# how much of it, and in which network?
metric = 'digits/fid'
seeds = list(range(10))
baseline = 'dense'

pruned = 'configs/rg_sngan_digits_5pct.py'
keep_ratio = 'rg_hooks.pruning.keep_ratio'
networks = 'rg_hooks.pruning.networks'

methods = {
    'dense': dict(config='configs/sngan_digits_5pct.py'),
    **{
        f'rg_{keep}': dict(config=pruned, changes={keep_ratio: keep})
        for keep in (0.9, 0.8, 0.65, 0.5, 0.3)
    },
    **{
        f'rg_d_{keep}': dict(config=pruned, changes={keep_ratio: keep, networks: ['discriminator']})
        for keep in (0.8, 0.5)
    },
    'ste_0.8': dict(config=pruned, changes={keep_ratio: 0.8, 'rg_hooks.pruning.mode': 'ste'}),
}
