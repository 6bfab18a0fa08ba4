"""The phase rule against its definition."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import PhaseRule

WEIGHTS = (0.1, 0.1, 0.2, 0.2, 0.4)
FIDS = st.lists(st.floats(0, 500, allow_nan=False), max_size=30)


@given(FIDS)
def test_phases_follow_the_definition(values):
    rule = PhaseRule()
    expected = True
    for i, value in enumerate(values):
        before = expected
        if i >= 4:
            last = values[i - 4 : i + 1]
            expected = sum(w * v for w, v in zip(WEIGHTS, last, strict=True)) >= last[-1]
        assert rule.update(value) == (before != expected)
        assert rule.sparse == expected


@given(FIDS, st.integers(0, 30))
def test_state_dict_continues_where_it_was(values, cut):
    whole, first = PhaseRule(), PhaseRule()
    for value in values:
        whole.update(value)
    for value in values[:cut]:
        first.update(value)
    second = PhaseRule()
    second.load_state_dict(first.state_dict())
    for value in values[cut:]:
        second.update(value)
    assert second.state_dict() == whole.state_dict()


def test_improving_is_sparse_and_worsening_is_dense():
    rule = PhaseRule()
    for value in (50, 40, 30, 20, 10):
        assert not rule.update(value)
    assert rule.update(90)
    assert not rule.sparse
    assert rule.update(5)
    assert (rule.sparse, rule.switches) == (True, 2)


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_kept_out(value):
    rule = PhaseRule()
    assert not rule.update(value)
    assert rule.values == []


@pytest.mark.parametrize('weights', [(), (0.5, 0.6), (1.5, -0.5), (0.0, 1.0)])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ConfigError, match='weights'):
        PhaseRule(weights)
