# DiffAugment with the published policy; a config puts this into its custom_hooks.
diffaug_hooks = [dict(type='DiffAugmentHook', policy='color,translation,cutout')]
