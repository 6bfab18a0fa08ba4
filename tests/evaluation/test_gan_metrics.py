import math

import pytest
import torch
from gan_of_reals import (
    ChannelStatistics,
    ColourNoise,
    build,
    evaluate,
    metric_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from mmagic.registry import METRICS
from torch import nn
from torch.utils.data import DataLoader

from rggan_mm.datasets import Digits
from rggan_mm.errors import ConfigError
from rggan_mm.evaluation.protocol import describe


def test_generator_of_the_reals_has_distance_zero_and_protocol():
    data = ColourNoise()
    (result,) = evaluate(build(data), data, fake_nums=24)
    assert result.pop('channels/fid') == pytest.approx(0, abs=1e-9)
    assert result == {
        'channels/n_real': 24,
        'channels/n_fake': 24,
        'channels/protocol/channels-v3_vs_ColourNoise_test': 1,
        'channels/reference': 'ColourNoise test',
        'channels/extractor': 'channels-v3',
        'channels/resize': 'none',
    }


@pytest.mark.parametrize('order', [None, 'RGB', 'BGR'])
def test_extractor_sees_rgb_whatever_order_the_model_uses(order):
    seen = []

    class Recorder(ChannelStatistics):
        def forward(self, images):
            seen.append(images.amax((0, 2, 3)) * 255)
            return super().forward(images)

    data = ColourNoise()
    (result,) = evaluate(build(data, order), data, fake_nums=24, extractor=Recorder())
    assert result['channels/fid'] == pytest.approx(0, abs=1e-9)
    assert len(seen) == 11
    for brightest in seen:
        assert brightest[0] > 200
        assert 80 < brightest[1] < 121
        assert brightest[2] < 41


def test_swapped_channels_would_be_noticed():
    data = ColourNoise()
    swapped = build(ColourNoise(), 'BGR').generator
    model = build(data)
    model.generator = swapped
    (result,) = evaluate(model, data, fake_nums=24)
    assert result['channels/fid'] > 0.1


@given(st.integers(2, 30), st.integers(2, 24), st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_counts_are_exact_for_every_batch_size(fake_nums, real_nums, batch_size):
    data = ColourNoise()
    model = build(data)
    results = evaluate(model, data, batch_size, rounds=2, fake_nums=fake_nums, real_nums=real_nums)
    assert data.reads == [0, *range(real_nums)]
    for result in results:
        assert result['channels/n_fake'] == fake_nums
        assert result['channels/n_real'] == real_nums


@given(st.integers(1, 12))
@settings(max_examples=10, deadline=None)
def test_batch_size_does_not_change_the_value(batch_size):
    def value(size):
        data = ColourNoise()
        model = build(data, indices=range(10))
        return evaluate(model, data, size, fake_nums=10)[0]['channels/fid']

    assert value(batch_size) == pytest.approx(value(10), rel=1e-6)
    assert value(10) > 1e-4


def test_every_round_starts_afresh():
    data = ColourNoise()
    # MMagic's sampler makes one batch too many a round: 16 images each.
    first, second = range(16), [3, 4, 5, 6] * 4
    both = build(data, indices=[*first, *second])
    rounds = evaluate(both, data, batch_size=4, rounds=2, fake_nums=12)
    for indices, result in zip((first, second), rounds, strict=True):
        (alone,) = evaluate(build(data, indices=indices), data, batch_size=4, fake_nums=12)
        assert result['channels/fid'] == pytest.approx(alone['channels/fid'], abs=1e-9)
    assert rounds[1]['channels/fid'] > rounds[0]['channels/fid'] + 1e-4


def test_first_images_and_their_name_are_used():
    data = ColourNoise(test_mode=False)
    (result,) = evaluate(build(data, indices=range(7)), data, fake_nums=7, real_nums=7)
    assert result['channels/fid'] == pytest.approx(0, abs=1e-9)
    assert result['channels/reference'] == 'ColourNoise train[:7]'
    assert 'channels/protocol/channels-v3_vs_ColourNoise_train_7' in result


def test_names_can_be_set():
    data = ColourNoise()
    (result,) = evaluate(build(data), data, fake_nums=4, prefix='mine', reference='noise, 8x8')
    assert result['mine/reference'] == 'noise, 8x8'
    assert result['mine/protocol/channels-v3_vs_noise_8x8'] == 1


def test_metric_names_are_known_ahead_and_all_come():
    names = metric_of(fake_nums=4, extractor='digits').metric_names
    assert names[0] == 'digits/fid'
    data = ColourNoise()
    (result,) = evaluate(build(data), data, fake_nums=4, extractor='digits')
    assert set(names) < set(result)


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_broken_images_or_features_give_no_number_but_no_error(value):
    class Broken(ChannelStatistics):
        def forward(self, images):
            return super().forward(images) * (value if len(images) == 3 else 1)

    data = ColourNoise()
    (result,) = evaluate(build(data), data, 3, fake_nums=6, extractor=Broken())
    assert not math.isfinite(result['channels/fid'])
    broken = build(data, images=torch.full((1, 3, 8, 8), math.nan))
    (result,) = evaluate(broken, data, fake_nums=6)
    assert math.isnan(result['channels/fid'])
    assert result['channels/n_fake'] == 6


def test_grey_images_work():
    data = ColourNoise()
    data.pixels = data.pixels[..., :1]
    (result,) = evaluate(build(data), data, fake_nums=24)
    assert result['channels/fid'] == pytest.approx(0, abs=1e-9)


def test_memory_does_not_grow_with_the_number_of_fakes():
    def held(metric):
        return metric._fake.moments.state.numel(), len(metric.fake_results)

    def run(fake_nums):
        data = ColourNoise()
        metric = metric_of(fake_nums=fake_nums)
        model = build(data)
        loader = torch.utils.data.DataLoader(data, batch_size=8)
        metric.prepare(model, loader)
        for batch in metric.get_metric_sampler(model, loader, [metric]):
            metric.process(batch, [sample.to_dict() for sample in model.val_step(batch)])
        return held(metric)

    assert run(8) == run(400) == (1 + 6 + 36, 0)


def test_ema_without_average_is_refused_before_anything_is_read():
    data = ColourNoise()
    model = build(data)
    with pytest.raises(ConfigError, match="sample_model='ema', but GGAN has no averaged"):
        evaluate(model, data, fake_nums=4, sample_model='ema')
    assert data.reads == []


@pytest.mark.parametrize('real_nums', [25, 1000])
def test_more_reals_than_there_are_is_refused(real_nums):
    data = ColourNoise()
    with pytest.raises(ConfigError, match=f'real_nums={real_nums}.* 24 images'):
        evaluate(build(data), data, fake_nums=4, real_nums=real_nums)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'fake_nums': 1}, 'fake_nums must be an integer of at least 2, but got 1'),
        ({'fake_nums': 2.5}, 'fake_nums'),
        ({'fake_nums': True}, 'fake_nums'),
        ({'fake_nums': 4, 'real_nums': 0}, 'real_nums .* or -1 for all, but got 0'),
        ({'fake_nums': 4, 'real_nums': None}, 'real_nums'),
        ({'fake_nums': 4, 'extractor': 'vgg'}, 'extractor must be one of digits'),
        ({'fake_nums': 4, 'sample_model': 'ema/orig'}, 'sample_model'),
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments, message):
    with pytest.raises(ConfigError, match=message):
        METRICS.build({'type': 'GANMetrics', 'values': ['fid'], 'extractor': 'digits', **arguments})


def test_extractor_config_and_module_are_taken():
    metric = metric_of(fake_nums=4, extractor=nn.Identity())
    assert metric.metric_names[0] == 'Identity/fid'


def test_check_refuses_what_prepare_would():
    data = ColourNoise(count=5)
    loader = DataLoader(data, batch_size=5)
    for wrong in ({'real_nums': 6}, {'values': ['pr']}, {'sample_model': 'ema'}):
        with pytest.raises(ConfigError, match=r'real_nums|neighbours|sample_model'):
            metric_of(**{'fake_nums': 20, **wrong}).check(build(data), loader)
    data.reads.clear()
    metric_of(fake_nums=20).check(build(data), loader)
    assert data.reads == [0]


def test_too_few_reals_are_refused_before_they_are_read():
    data = ColourNoise(count=5)
    with pytest.raises(ConfigError, match=r'neighbours=5 must be below .* 5 .real_nums=5'):
        evaluate(build(data), data, fake_nums=20, values=['pr'])
    assert data.reads == []


def test_chosen_indices_stand_in_the_name():
    def name(indices):
        return describe(Digits(split='test', indices=indices), 60)

    assert name(60) == 'Digits test[:60]'
    assert name(-60) == 'Digits test[-60:]'
    assert name(list(range(60))) == 'Digits test[60 chosen]'
    assert name(100) == 'Digits test[:100][:60]'
