# DiffAugment with the published policy, on whatever the discriminator sees.
diffaug_hooks = dict(augment=dict(type='DiffAugmentHook', policy='color,translation,cutout'))
