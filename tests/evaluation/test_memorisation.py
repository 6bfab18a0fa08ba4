"""How many samples are copies of the training images."""

import math
from statistics import median

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rggan_mm.evaluation.memorisation import memorisation, not_of_training

SEEDS = st.integers(0, 2**31)


def features(count, dim=3, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator) + shift


def naive(real, fake):
    """Distance by distance, as the docstring says it."""
    real, fake = real.double().tolist(), fake.double().tolist()
    usual = median(
        min(math.dist(x, y) for j, y in enumerate(real) if j != i) for i, x in enumerate(real)
    )
    return sum(min(math.dist(x, y) for y in real) < usual for x in fake) / len(fake)


@given(st.integers(2, 25), st.integers(1, 25), st.integers(1, 30), st.floats(-100, 100), SEEDS)
def test_equals_the_definition_for_any_block(reals, fakes, block, shift, seed):
    real, fake = features(reals, seed=seed, shift=shift), features(fakes, seed=seed + 1)
    fake += shift
    assert memorisation(real, fake, block) == pytest.approx(naive(real, fake))


def test_copies_news_and_strangers():
    real = features(2000, dim=4)
    assert memorisation(real, real[:100] + 1e-3) == 1
    assert memorisation(real, features(4000, dim=4, seed=1)) == pytest.approx(0.5, abs=0.05)
    assert memorisation(real, features(100, dim=4, shift=50)) == 0


def test_by_hand():
    real = torch.tensor([[0.0], [1.0], [3.0], [7.0]])  # nearest: 1, 1, 2, 4; median 1.5
    fake = torch.tensor([[-1.4], [4.4], [5.0], [-1.6], [8.5]])
    assert memorisation(real, fake) == pytest.approx(2 / 5)


def test_images_that_are_not_called_training_images_are_told():
    line = not_of_training(['fid', 'memorisation'], 'Digits test', ['Digits test[-9:]'])
    assert line.startswith("memorisation: it compares with 'Digits test', whose name does not say")
    assert not_of_training(['memorisation'], 'Digits train[:36]', []) is None
    assert not_of_training(['memorisation'], 'Digits test', ['Digits train']) is None
    assert not_of_training(['fid'], 'Digits test', []) is None


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_features_that_are_not_finite_give_nan(value):
    broken = features(5)
    broken[0, 0] = value
    assert math.isnan(memorisation(features(5), broken))
    assert math.isnan(memorisation(broken, features(5)))
