# RG-GAN: dynamic pruning, regeneration and dense merge, with the settings of the published
# command line. DenseMergeHook follows the FID of the run's validation. A config changes
# one setting with, for instance, rg_hooks = dict(pruning=dict(lam=1e-11)).
rg_hooks = dict(
    pruning=dict(type='DynamicPruningHook', lam=1e-13, mode='published', lr=2e-4, betas=(0.0, 0.9)),
    regeneration=dict(type='RegenerationHook', min_keep=0.01),
    dense_merge=dict(type='DenseMergeHook'),
)
