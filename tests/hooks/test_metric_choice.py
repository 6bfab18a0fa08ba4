"""Which metric the hooks follow where none is named."""

import json

import pytest
from tiny import hook_of, tiny_runner

from rggan_mm.errors import ConfigError
from rggan_mm.hooks import CurvesHook, DenseMergeHook

FID = dict(type='GANMetrics', values=['fid'], fake_nums=20, extractor='digits')
SECOND = dict(FID, prefix='second')
KID = dict(FID, values=['kid'], kid_subset_size=10)
SWD = dict(type='SWD', prefix='swd', fake_nums=20, image_shape=(3, 16, 16), sample_model='orig')


def trained(folder, metrics, **overrides):
    runner = tiny_runner(
        folder,
        train_cfg__max_iters=1,
        val_evaluator=dict(type='Evaluator', metrics=metrics),
        default_hooks__checkpoint__save_best=None,
        **overrides,
    )
    runner.train()
    return [hook_of(runner, kind).metric for kind in (CurvesHook, DenseMergeHook)]


@pytest.mark.parametrize(
    ('metrics', 'expected'),
    [([FID], 'digits/fid'), ([SWD, FID], 'digits/fid'), ([SWD], 'swd/avg')],
    ids=['FID', 'FID before SWD', 'SWD'],
)
def test_the_fid_or_else_the_mean_swd(tmp_path, metrics, expected):
    assert trained(tmp_path, metrics) == [expected, expected]
    (record,) = json.loads((tmp_path / 'phase_history.json').read_text())
    (evaluation,) = json.loads((tmp_path / 'evaluations.json').read_text())
    assert record['value'] == evaluation['metrics'][expected]


def test_a_metric_named_for_one_hook_is_followed_by_the_other(tmp_path):
    named = {'DenseMergeHook.metric': 'second/fid'}
    assert trained(tmp_path, [FID, SECOND], **named) == ['second/fid', 'second/fid']


@pytest.mark.parametrize(
    ('metrics', 'message'),
    [
        ([FID, SECOND], r'produces several that could be meant: digits/fid, second/fid; name'),
        ([KID], r'metric=None: val_evaluator produces no FID; .* there is: digits/kid'),
    ],
)
def test_none_or_several_is_one_line_before_the_first_iteration(tmp_path, metrics, message):
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, metrics)
