# 35 digits, few enough for the discriminator to learn them by heart: what do the methods bring?
# One half of the test images decides, the other half reports. digits_35_choice.py chose how
# much RG-GAN keeps, on other seeds and without the half that reports.
metric = 'digits/fid'
report = 'held_out/fid'
published = 'all/fid'
seeds = list(range(10, 20))
baseline = 'dense'

pruned = 'configs/rg_sngan_digits_35.py'
keep_ratio = 'rg_hooks.pruning.keep_ratio'
augment = {'diffaug_hooks.augment': dict(type='DiffAugmentHook', policy='color,translation,cutout')}

methods = {
    'dense': dict(config='configs/sngan_digits_35.py'),
    'rg': dict(config=pruned),
    'rg_0.3': dict(config=pruned, changes={keep_ratio: 0.3}),
    'rg_ste': dict(config=pruned, changes={'rg_hooks.pruning.mode': 'ste'}),
    # Without the phase rule, as in digits_35_targets.py: nothing is given back.
    'rg_0.2_throughout': dict(
        config=pruned,
        changes={
            keep_ratio: 0.2,
            'rg_hooks.dense_merge': None,
            'rg_hooks.pruning.reach': 0.75,
        },
    ),
    'regan': dict(config='configs/regan_sngan_digits_35.py'),
    'sdst': dict(config='configs/sdst_sngan_digits_35.py'),
    'rg_no_merge': dict(config=pruned, changes={'rg_hooks.dense_merge': None}, seeds=seeds[:5]),
    'dense_diffaug': dict(config='configs/sngan_digits_35.py', changes=augment, seeds=seeds[:5]),
    'rg_diffaug': dict(config=pruned, changes=augment, seeds=seeds[:5]),
    'static': dict(config='configs/static_sngan_digits_35.py', seeds=seeds[:5]),
}
