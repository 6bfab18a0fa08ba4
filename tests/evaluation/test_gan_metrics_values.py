import logging

import pytest
from gan_of_reals import (
    ChannelStatistics,
    ColourNoise,
    build,
    evaluate,
    metric_of,
    model_images,
    one_round,
)
from mmagic.datasets.transforms import PackInputs
from mmagic.evaluation import Evaluator
from mmengine.logging import MessageHub, MMLogger
from torch import nn
from torch.utils.data import DataLoader

from rggan_mm.datasets import Digits
from rggan_mm.errors import ConfigError


def test_all_values_come_from_one_pass():
    seen = []

    class Counter(ChannelStatistics):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    data = ColourNoise()
    arguments = {'values': ['fid', 'is', 'kid', 'pr'], 'extractor': Counter()}
    (result,) = evaluate(build(data), data, fake_nums=24, **arguments)
    assert sum(seen) == 1 + 24 + 24  # a first look, the reals, the fakes
    assert result['channels/fid'] == pytest.approx(0, abs=1e-9)
    assert result['channels/is'] > 1
    assert result['channels/kid'] < 1e-6
    for name in ('precision', 'recall', 'coverage'):
        assert result[f'channels/{name}'] == 1
    assert result['channels/kept_real'] == result['channels/kept_fake'] == 24


def test_values_agree_with_each_other_asked_for_alone():
    data = ColourNoise()
    model_and_data = lambda: (build(data, indices=range(20)), data)  # noqa: E731
    arguments = {'fake_nums': 20, 'real_nums': 22, 'is_splits': 4, 'neighbours': 2}
    (together,) = evaluate(*model_and_data(), values=['pr', 'kid', 'is', 'fid'], **arguments)
    for value in ('fid', 'is', 'kid', 'pr'):
        (alone,) = evaluate(*model_and_data(), values=[value], **arguments)
        common = {k: v for k, v in alone.items() if 'n_real' not in k and 'reference' not in k}
        common = {k: v for k, v in common.items() if 'protocol' not in k}
        assert common.items() <= together.items()


def test_inception_score_alone_reads_no_reals():
    data = ColourNoise()
    (result,) = evaluate(build(data), data, fake_nums=20, values=['is'])
    assert data.reads == [0]
    assert result['channels/n_real'] == 0
    assert result['channels/reference'] == 'none'


def test_score_only_where_the_distance_is_best():
    MessageHub.get_instance('best')
    data = ColourNoise()
    replies = model_images_of(data, [range(24), range(4), range(24)])
    model = build(data, images=replies)
    results = evaluate(
        model, data, 24, rounds=3, fake_nums=24, values=['is', 'fid'], is_when='best'
    )
    # MMagic's sampler makes one batch too many a round: 48 images each.
    assert ['channels/is' in result for result in results] == [True, False, False]


def model_images_of(data, choices):
    preprocessor = build(data).data_preprocessor
    rounds = [list(choice) * (48 // len(choice)) for choice in choices]
    return model_images(data, preprocessor, [index for part in rounds for index in part])


def test_a_score_that_comes_sometimes_is_not_promised():
    always = metric_of(fake_nums=20, values=['fid', 'is'])
    assert 'channels/is' in always.metric_names
    sometimes = metric_of(fake_nums=20, values=['fid', 'is'], is_when='best')
    assert 'channels/is' not in sometimes.metric_names
    assert 'channels/fid' in sometimes.metric_names


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'values': []}, 'values must be a list with one or more of fid, is, kid, pr'),
        ({'values': 'fid'}, 'values must be a list'),
        ({'values': ['fid', 'ppl']}, "each once, but got .'fid', 'ppl'."),
        ({'values': ['fid', 'fid']}, 'each once'),
        ({'values': ['kid'], 'is_when': 'best'}, "is_when='best' needs 'fid'"),
        ({'is_when': 'never'}, 'is_when must be one of always, best'),
        ({'values': ['is'], 'extractor': nn.Identity()}, "'is' needs an extractor with"),
        ({'values': ['is'], 'fake_nums': 9}, 'is_splits=10 must be at most fake_nums=9'),
        ({'values': ['pr'], 'fake_nums': 5}, 'neighbours=5 must be below .* 5 .fake_nums=5, kept'),
        ({'values': ['pr'], 'kept': 3}, 'neighbours=5 must be below .* 3 .fake_nums=20, kept=3'),
        ({'kept': 1}, 'kept must be an integer of at least 2, but got 1'),
        ({'subsets': 3}, 'unknown argument subsets=3; settings are: kept, is_splits'),
        ({'real_stats': 'nowhere.npz'}, 'statistics nowhere.npz are not readable'),
    ],
)
def test_bad_values_and_settings_are_refused_at_construction(arguments, message):
    with pytest.raises(ConfigError, match=message):
        metric_of(**{'fake_nums': 20, **arguments})


def test_settings_stand_beside_the_numbers():
    data = ColourNoise()
    values = ['is', 'kid', 'pr']
    (result,) = evaluate(build(data), data, fake_nums=20, values=values, is_splits=4)
    used = {'is_splits': 4, 'kid_subsets': 100, 'kid_subset_size': 20, 'neighbours': 5}
    assert {name: result[f'channels/{name}'] for name in used} == used
    (result,) = evaluate(build(data), data, fake_nums=20)
    assert not {f'channels/{name}' for name in used} & result.keys()


@pytest.mark.parametrize(
    ('fakes', 'size', 'subsets', 'used', 'deviates'),
    [(24, 1000, 1, 24, False), (20, 1000, 100, 20, True), (24, 10, 100, 10, True)],
)
def test_the_kernel_distance_says_which_subsets_there_were(fakes, size, subsets, used, deviates):
    data = ColourNoise()  # of 24
    arguments = {'values': ['kid'], 'fake_nums': fakes, 'kid_subset_size': size}
    (result,) = evaluate(build(data), data, **arguments)
    assert result['channels/kid_subsets'] == subsets
    assert result['channels/kid_subset_size'] == used
    assert result.get('channels/kid_std', 0) > 1e-9 if deviates else True
    assert ('channels/kid_std' in result) == deviates


@pytest.mark.parametrize(('fakes', 'said'), [(6, 'n_fake 6,'), (7, None)])
def test_a_fid_of_no_more_images_than_features_is_a_warning(fakes, said):
    data, lines = ColourNoise(), Lines()
    logger = MMLogger.get_instance(f'few_{fakes}')
    logger.addHandler(lines)
    evaluate(build(data), data, fake_nums=fakes, rounds=2)
    found = [line for line in lines.messages if 'features (6)' in line]
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


@pytest.mark.parametrize(
    ('test_mode', 'arguments', 'warned'),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {'reference': 'my Training images'}, False),
        (True, {'reports': {'copied': {'type': 'Digits', 'split': 'train'}}}, False),
    ],
)
def test_memorisation_of_other_images_is_a_warning(test_mode, arguments, warned):
    if 'reports' in arguments:
        about = {'image_size': 16, 'indices': 4, 'pipeline': [PackInputs()]}
        arguments = {'reports': {'copied': {**arguments['reports']['copied'], **about}}}
    data, lines = ColourNoise(test_mode=test_mode), Lines()
    logger = MMLogger.get_instance(f'copies_{test_mode}_{"".join(arguments)}')
    logger.addHandler(lines)
    evaluate(build(data), data, fake_nums=24, rounds=2, values=['memorisation'], **arguments)
    found = [line for line in lines.messages if 'memorisation' in line]
    assert len(found) == warned
    assert not warned or "'ColourNoise test', whose name does not say train; set" in found[0]


class Lines(logging.Handler):
    """Collects warnings."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def test_reports_share_the_fakes_and_decide_nothing():
    data = ColourNoise()
    digits = {'split': 'test', 'image_size': 16, 'indices': -4, 'pipeline': [PackInputs()]}
    metric = metric_of(fake_nums=24, reports={'held_out': {'type': 'Digits', **digits}})
    evaluator, loader = Evaluator(metric), DataLoader(data, batch_size=5)
    result = one_round(evaluator, build(data), loader)
    assert result['channels/fid'] == pytest.approx(0, abs=1e-9)
    assert result['held_out/n_real'] == 4
    assert result['held_out/n_fake'] == result['channels/n_fake'] == 24
    assert result['held_out/reference'] == 'Digits test[-4:]'
    assert not any(name.startswith('held_out') for name in metric.metric_names)
    (same,) = evaluate(build(data), Digits(**digits), fake_nums=24)
    assert result['held_out/fid'] == pytest.approx(same['channels/fid'], rel=1e-9)


def test_a_report_has_a_name_of_its_own():
    with pytest.raises(ConfigError):
        metric_of(reports={'channels': {'type': 'Digits'}})
