import json
import math
import re

import pytest
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rggan_mm.evaluation.digits_net import DigitsNet

CONFIG = """
default_scope = 'mmagic'
model = dict(
    type='GGAN',
    noise_size=8,
    generator=dict(type='SNGANGenerator', output_scale=32, base_channels=4, num_classes=0,
                   use_cbn=False, noise_size=8),
    discriminator=dict(type='ProjDiscriminator', input_scale=32, base_channels=4, num_classes=0),
    ema_config=dict(type='ExponentialMovingAverage', momentum=0.001),
    data_preprocessor=dict(type='DataPreprocessor'))
digits = dict(type='Digits', image_size=32, pipeline=[dict(type='PackInputs')])
train_dataloader = dict(
    batch_size=4, num_workers=0, dataset=dict(split='train', data_ratio=0.01, **digits),
    sampler=dict(type='InfiniteSampler', shuffle=True))
val_dataloader = dict(
    batch_size=40, num_workers=0, dataset=dict(split='test', **digits),
    sampler=dict(type='DefaultSampler', shuffle=False))
val_evaluator = dict(type='Evaluator', metrics=[
    dict(type='GANMetrics', values=['fid'], fake_nums=50, extractor='digits')])
val_cfg = dict(type='MultiValLoop')
test_dataloader, test_evaluator = val_dataloader, val_evaluator
test_cfg = dict(type='MultiTestLoop')
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=1)
adam = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.0, 0.9)))
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor', generator=adam, discriminator=adam)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', interval=10, by_epoch=False, save_last=False,
                    save_best='digits/fid', rule='less'))
log_processor = dict(type='LogProcessor', by_epoch=False)
visualizer = dict(
    type='Visualizer', vis_backends=[dict(type=BACKEND), dict(type='TensorboardVisBackend')])
"""
NUMBERS = {
    'digits/n_real': 360,
    'digits/n_fake': 50,
    'digits/protocol/digits-v1_bilinear_antialias_16_vs_Digits_test': 1,
}
STRINGS = {
    'digits/reference': 'Digits test',
    'digits/extractor': 'digits-v1',
    'digits/resize': 'bilinear antialias 16',
    'digits/note': 'not comparable with Inception FIDs',
}


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    """Train two steps, validate after each and test, all with stock parts."""
    folder = tmp_path_factory.mktemp('run')
    config = Config.fromstring(CONFIG.replace('BACKEND', "'VisBackend'"), '.py')
    config.work_dir = str(folder)
    runner = Runner.from_cfg(config)
    runner.train()
    runner.test()
    return folder


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_log_line_names_the_protocol_beside_every_number(work_dir):
    (log,) = work_dir.glob('*/*.log')
    lines = [line for line in log.read_text().splitlines() if 'digits/fid:' in line]
    assert len(lines) == 3
    for line in lines:
        assert 'digits/n_real: 360' in line
        assert 'digits/n_fake: 50' in line
        assert 'digits/reference: Digits test' in line
        assert 'digits/extractor: digits-v1' in line
        assert 'digits/note: not comparable with Inception FIDs' in line


def test_scalars_json_has_number_and_protocol_in_one_line(work_dir):
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [line for line in lines_of(scalars) if 'digits/fid' in line]
    assert [line['step'] for line in lines] == [1, 2]
    for line in lines:
        assert math.isfinite(line['digits/fid'])
        assert {key: line[key] for key in NUMBERS} == NUMBERS


def test_json_of_the_test_has_everything(work_dir):
    (path,) = work_dir.glob('*/*.json')
    (line,) = lines_of(path)
    assert {key: line[key] for key in (*NUMBERS, *STRINGS)} == NUMBERS | STRINGS


def test_tensorboard_has_number_and_protocol(work_dir):
    (events,) = work_dir.glob('*/vis_data/events.out.tfevents.*')
    scalars = EventAccumulator(str(events)).Reload()
    for key in ('digits/fid', *NUMBERS):
        assert [event.step for event in scalars.Scalars(key)] == [1, 2]


def test_best_checkpoint_is_saved_by_it(work_dir):
    assert len(list(work_dir.glob('best_digits_fid_iter_*.pth'))) == 1


@MODELS.register_module()
class WorseAndWorse(DigitsNet):
    """Features that move away from the reals each time the generator is looked at."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return super().forward(images) + 1e-3 * self.calls


def test_a_score_is_not_logged_again_where_it_was_not_computed(tmp_path):
    config = Config.fromstring(CONFIG.replace('BACKEND', "'VisBackend'"), '.py')
    config.work_dir = str(tmp_path)
    config.experiment_name = 'worse'
    config.train_cfg.max_iters = 3
    metric = {'values': ['fid', 'is'], 'is_when': 'best', 'extractor': {'type': 'WorseAndWorse'}}
    config.val_evaluator.metrics[0].update(metric)
    runner = Runner.from_cfg(config)
    runner.train()
    hub = runner.message_hub.state_dict()
    known = {*hub['log_scalars'], *hub['runtime_info']}
    assert {key for key in hub['resumed_keys'] if 'digits' in key} <= known  # else resume warns
    (log,) = tmp_path.glob('*/*.log')
    lines = [line for line in log.read_text().splitlines() if 'digits/fid:' in line]
    numbers = [float(re.search(r'digits/fid: ([\d.]+)', line)[1]) for line in lines]
    assert len(numbers) == 3
    assert numbers[0] < numbers[1]
    assert ['digits/is:' in line for line in lines] == [
        number == min(numbers[: i + 1]) for i, number in enumerate(numbers)
    ]
