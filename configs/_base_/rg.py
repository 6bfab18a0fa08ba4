# RG-GAN for any GAN config of MMagic: add this file to its _base_.
_base_ = './rg_hooks.py'

custom_imports = dict(imports=['rggan_mm'], allow_failed_imports=False)
# What the run did: evaluations.json, curves.png and tools/analysis/summary.py.
rg_hooks = dict(curves=dict(type='CurvesHook'))
