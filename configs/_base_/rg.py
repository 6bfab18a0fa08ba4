# RG-GAN for any GAN config of MMagic: add this file to its _base_.
_base_ = './rg_hooks.py'

custom_imports = dict(imports=['rggan_mm.plugin'], allow_failed_imports=False)
rg_hooks = dict(
    # What the run did: evaluations.json, curves.png and tools/analysis/summary.py.
    curves=dict(type='CurvesHook'),
    # A stopped run goes on as if it had not been; SIGTERM and Ctrl-C save it first; one whose
    # losses or weights are NaN or infinite ends.
    exact_resume=dict(type='ExactResumeHook'),
    divergence=dict(type='DivergenceHook'),
    preemption=dict(type='PreemptionHook'),
)
