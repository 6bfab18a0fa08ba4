# What every experiment shares: logging, checkpoints, pictures. The metric that picks the
# best checkpoint stands with the evaluation.
custom_imports = dict(imports=['rggan_mm.plugin'], allow_failed_imports=False)
default_scope = 'mmagic'
# Or every process would generate and augment with the same random numbers.
randomness = dict(seed=0, diff_rank_seed=True)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=200, log_metric_by_epoch=False),
    checkpoint=dict(
        type='CheckpointHook', interval=1000, by_epoch=False, max_keep_ckpts=2, rule='less'
    ),
)
custom_hooks = [
    dict(type='DataCheckHook'),
    dict(type='ChannelsLastHook'),
    dict(type='ExactResumeHook'),
    dict(type='DivergenceHook'),
    dict(type='PreemptionHook'),
    dict(type='SampleGridHook'),
    # No step waits for images; on a GPU neither for losses nor for Python.
    dict(type='ResidentImagesHook'),
    dict(type='DeferredLossesHook'),
    dict(type='CudaGraphHook'),
]
val_cfg = dict(type='MultiValLoop')
test_cfg = dict(type='MultiTestLoop')
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_level = 'INFO'
log_processor = dict(type='ShortLogProcessor', by_epoch=False)
load_from = None
resume = False
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel',
    broadcast_buffers=False,
    find_unused_parameters=False,
)
vis_backends = [dict(type='VisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
