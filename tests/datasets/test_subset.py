import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rggan_mm.datasets.subset import (
    SUBSETS,
    check_ratio,
    check_seed,
    check_subset,
    select_indices,
    subset_size,
)
from rggan_mm.errors import ConfigError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60)
RATIOS = st.floats(0.02, 1.0)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    'ratio', [0, -0.1, 1.0001, math.nan, math.inf, '0.1', None, True, [0.1], 1j, np.bool_(True)]
)
def test_bad_ratio_is_refused_with_field_and_value(ratio):
    with pytest.raises(ConfigError, match=r'data_ratio must be a number in \(0, 1\]') as error:
        check_ratio(ratio)
    assert repr(ratio) in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('ratio', [1, 1.0, 0.1, np.float32(0.5), Fraction(1, 4)])
def test_numbers_of_any_kind_are_ratios(ratio):
    assert check_ratio(ratio) == float(ratio)


def test_size_is_cut_down_as_published():
    assert subset_size(50000, 0.1) == 5000
    assert subset_size(1437, 0.2) == 287
    assert subset_size(10, 1) == 10


def test_ratio_that_leaves_nothing_names_the_smallest_that_does():
    with pytest.raises(ConfigError, match=r'data_ratio=0\.0001 leaves none of 1437') as error:
        subset_size(1437, 0.0001)
    smallest = float(str(error.value).split()[-1])
    assert subset_size(1437, smallest) == 1


@pytest.mark.parametrize('seed', [-1, 2**32, 0.5, True, '0', None])
def test_bad_seed_is_refused(seed):
    with pytest.raises(ConfigError, match='subset_seed'):
        check_seed(seed)


@pytest.mark.parametrize('subset', ['last', '', None, 3])
def test_bad_subset_lists_the_valid_ones(subset):
    with pytest.raises(ConfigError, match='first, random, stratified'):
        check_subset(subset)


@given(LABELS, RATIOS, st.sampled_from(SUBSETS), SEEDS)
def test_choice_is_a_set_of_the_right_size(labels, ratio, subset, seed):
    size = int(len(labels) * ratio)
    if size == 0:
        with pytest.raises(ConfigError):
            select_indices(labels, ratio, subset, seed)
        return
    chosen = select_indices(labels, ratio, subset, seed)
    assert len(chosen) == size
    assert np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0
    assert chosen[-1] < len(labels)
    assert np.array_equal(chosen, select_indices(labels, ratio, subset, seed))


@given(LABELS, RATIOS)
def test_first_takes_the_first(labels, ratio):
    size = max(1, int(len(labels) * ratio))
    assert list(select_indices(labels, min(1.0, (size + 0.5) / len(labels)))) == list(range(size))


@given(LABELS, st.sampled_from(SUBSETS), SEEDS)
def test_larger_ratio_keeps_the_choice_of_a_smaller(labels, subset, seed):
    small, large = (
        set(select_indices(labels, ratio, subset, seed))
        for ratio in (min(1.0, 1.5 / len(labels)), 1.0)
    )
    assert small <= large


@given(st.integers(1, 8), st.integers(1, 5), RATIOS, SEEDS)
def test_stratified_keeps_proportions(per_class, classes, ratio, seed):
    labels = np.repeat(np.arange(classes), per_class)
    if int(len(labels) * ratio) == 0:
        return
    counts = np.bincount(labels[select_indices(labels, ratio, 'stratified', seed)], None, classes)
    assert counts.max() - counts.min() <= 1


def test_seeds_differ_and_random_stream_is_frozen():
    labels = [0] * 20
    assert list(select_indices(labels, 0.25, 'random', 0)) == [1, 8, 10, 18, 19]
    assert list(select_indices(labels, 0.25, 'random', 1)) != [1, 8, 10, 18, 19]
