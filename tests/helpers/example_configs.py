"""Our examples of MMagic's families, and what makes them tiny."""

# The family of each config.
EXAMPLES = {
    'rg_dcgan_folder_64': 'dcgan',
    'rg_wgan_gp_folder_128': 'wgan_gp',
    'rg_stylegan2_folder_256': 'stylegan2',
    'rg_biggan_cifar10_10pct': 'biggan_cifar10',
    'rg_sagan_cifar10_10pct': 'sagan',
    'rg_cyclegan_facades': 'cyclegan',
}
# Beside what makes their family tiny.
TINY = {
    'rg_stylegan2_folder_256': {
        f'{loader}_dataloader__dataset__pipeline__1__scale': (16, 16) for loader in ('train', 'val')
    },
    'rg_cyclegan_facades': {
        'rg_hooks__dense_merge__metric': 'translation/distance',
        'rg_hooks__curves__metric': 'translation/distance',
    },
}
# A tiny run is too short for the keep ratio of the configs.
FIXED = {'rg_hooks__pruning__lam': 1e-11, 'rg_hooks__pruning__keep_ratio': None}
