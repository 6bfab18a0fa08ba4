# 105 faces (docs/configs.md prepares them) and a small DCGAN: does RG-GAN help, with and without
# DiffAugment? Every other face decides, those between report; all of them train.
metric = 'efficientnet/fid'
report = 'held_out/fid'
published = 'all/fid'
seeds = [0, 1, 2]
baseline = 'dense'

augment = {'diffaug_hooks.augment': dict(type='DiffAugmentHook', policy='color,translation,cutout')}

methods = {
    'dense': dict(config='configs/dcgan_faces_32.py'),
    'rg': dict(config='configs/rg_dcgan_faces_32.py'),
    'dense_diffaug': dict(config='configs/dcgan_faces_32.py', changes=augment),
    'rg_diffaug': dict(config='configs/rg_dcgan_faces_32.py', changes=augment),
}
