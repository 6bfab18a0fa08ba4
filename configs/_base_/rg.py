# RG-GAN: dynamic pruning, regeneration and dense merge, with the settings of the published
# command line. Lists of two base files do not merge: a config puts these into its
# custom_hooks.
rg_hooks = [
    dict(type='DynamicPruningHook', lam=1e-13, mode='published', lr=2e-4, betas=(0.0, 0.9)),
    dict(type='RegenerationHook', min_keep=0.01),
    dict(type='DenseMergeHook', metric='inception/fid'),
]
