# The published evaluation: 10,000 images of the averaged generator against the test split,
# the Inception Score where the FID is the best so far.
# 50,000 images against the training split:
#   --cfg-options val_evaluator.metrics.0.fake_nums=50000 val_dataloader.dataset.test_mode=False \
#     test_evaluator.metrics.0.fake_nums=50000 test_dataloader.dataset.test_mode=False
_base_ = './runtime.py'

val_evaluator = dict(
    type='Evaluator',
    metrics=[
        dict(
            type='GANMetrics',
            values=['fid', 'is'],
            is_when='best',
            fake_nums=10000,
            extractor=dict(type='InceptionExtractor'),
            sample_model='ema',
        )
    ],
)
test_evaluator = dict(
    type='Evaluator', metrics=[dict(val_evaluator['metrics'][0], is_when='always')]
)

metric = 'inception/fid'
default_hooks = dict(checkpoint=dict(interval=4000, save_best=metric))
custom_hooks = [*_base_.custom_hooks, dict(type='CurvesHook')]
