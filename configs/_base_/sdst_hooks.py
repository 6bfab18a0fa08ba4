# Dynamic sparse training of both networks (SDST), as published, with its balance ratio in the log.
baseline_hooks = dict(
    dynamic_sparse=dict(
        type='DynamicSparseHook',
        density=dict(generator=0.5, discriminator=0.3),
        interval=500,
        drop=0.5,
    ),
    balance=dict(type='BalanceRatioHook', window=1000),
)
