# Re-GAN as published for StyleGAN2, in iterations; of an SNGAN the paper counts epochs, 100 to
# 200 of warm-up and 5 (100 in its readme) of each stretch.
baseline_hooks = dict(
    regan=dict(type='ReGANHook', warmup=10000, interval=5000, sparsity=0.3, dense_lr=0.1),
)
