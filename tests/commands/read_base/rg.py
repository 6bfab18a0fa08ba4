"""RG-GAN on a pure-Python config."""

from mmengine.config import read_base

from rggan_mm.hooks import DenseMergeHook, DynamicPruningHook, RegenerationHook

with read_base():
    from .dense import *  # noqa: F403

# MMEngine puts imports off and reads no custom_imports here; MMagic's train.py needs it first.
__import__('rggan_mm.plugin')

rg_hooks = dict(
    pruning=dict(type=DynamicPruningHook, lam=1e-6),
    regeneration=dict(type=RegenerationHook),
    dense_merge=dict(type=DenseMergeHook),
)
