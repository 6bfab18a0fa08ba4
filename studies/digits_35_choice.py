# How much to keep, and in which network? Seeds of their own: those of digits_35.py are fresh.
# Nothing here looks at the half of the test images that digits_35.py reports.
metric = 'digits/fid'
seeds = [0, 1, 2]
baseline = 'dense'

pruned = 'configs/rg_sngan_digits_35.py'
keep_ratio = 'rg_hooks.pruning.keep_ratio'
networks = 'rg_hooks.pruning.networks'

methods = {
    'dense': dict(config='configs/sngan_digits_35.py'),
    **{
        f'rg_d_{keep}': dict(config=pruned, changes={keep_ratio: keep, networks: ['discriminator']})
        for keep in (0.5, 0.8)
    },
    **{
        f'rg_{keep}': dict(config=pruned, changes={keep_ratio: keep})
        for keep in (0.5, 0.8, 0.3, 0.65, 0.9)
    },
}
