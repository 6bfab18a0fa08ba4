# Static pruning: half of the weights of each network, the largest ones at the start.
baseline_hooks = dict(static=dict(type='StaticPruningHook', keep_ratio=0.5, by='magnitude'))
