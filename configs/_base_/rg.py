# RG-GAN for any GAN config of MMagic: add this file to its _base_.
_base_ = './rg_hooks.py'

custom_imports = dict(imports=['rggan_mm.plugin'], allow_failed_imports=False)
rg_hooks = dict(
    # 80 % of each network's weights are left from three quarters of the run on, however long it
    # is. A fixed lambda instead: rg_hooks = dict(pruning=dict(lam=1e-11, keep_ratio=None)).
    pruning=dict(lam=None, keep_ratio=0.8, out_of_reach='warn'),
    # What the run did: evaluations.json, curves.png, samples/ at each evaluation (not for models
    # that take no noise); tools/analysis/summary.py and report.py show it.
    curves=dict(type='CurvesHook'),
    samples=dict(type='SampleGridHook', rows=4, without_noise='skip'),
    # A stopped run goes on as if it had not been; SIGTERM and Ctrl-C save it first; one whose
    # losses or weights are NaN or infinite ends.
    exact_resume=dict(type='ExactResumeHook'),
    divergence=dict(type='DivergenceHook'),
    preemption=dict(type='PreemptionHook'),
)
