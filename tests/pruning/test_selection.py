"""Choosing layers by pattern."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rggan_mm.errors import ConfigError
from rggan_mm.pruning import choose_layers, list_layers


def network():
    return nn.ModuleDict(
        {
            'mapping': nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)),
            'convs': nn.ModuleList([nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)]),
            'to_rgb': nn.Conv2d(2, 3, 1),
            'norm': nn.BatchNorm2d(3),
        }
    )


ALL = ['mapping.0', 'mapping.1', 'convs.0', 'convs.1', 'to_rgb']


@pytest.mark.parametrize(
    ('include', 'exclude', 'chosen'),
    [
        (None, [], ALL),
        (None, ['mapping'], ALL[2:]),
        (None, ['mapping.*', 'to_*'], ALL[2:4]),
        (['*.0'], [], ['mapping.0', 'convs.0']),
        (['convs', 'to_rgb'], ['convs.1'], ['convs.0', 'to_rgb']),
        (['conv?'], ['*.1'], ['convs.0']),
        (None, ['*'], []),
    ],
)
def test_patterns_name_layers_or_what_holds_them(include, exclude, chosen):
    assert [info.name for info in choose_layers(network(), include, exclude)] == chosen


@given(st.sets(st.sampled_from(ALL), min_size=1))
def test_include_and_exclude_of_the_same_names_complete_each_other(names):
    kept = {info.name for info in choose_layers(network(), include=sorted(names))}
    left = {info.name for info in choose_layers(network(), exclude=sorted(names))}
    assert kept == names
    assert kept | left == set(ALL)
    assert not kept & left


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'exclude': ['to_rgbs']}, "pattern 'to_rgbs' matches no prunable layer; there is: to_rgb"),
        ({'include': ['norm']}, "pattern 'norm' matches no prunable layer"),
        ({'include': ['mapping', 'x']}, "pattern 'x' matches no prunable layer"),
        ({'exclude': 'mapping'}, "exclude='mapping' must be a list of patterns"),
        ({'exclude': None}, 'exclude=None must be a list of patterns'),
        ({'include': []}, 'include=[] must be a list of patterns'),
        ({'include': [1]}, 'include=[1] must be a list of patterns'),
        ({'exclude': ['']}, "exclude=[''] must be a list of patterns"),
    ],
)
def test_bad_patterns_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        choose_layers(network(), **arguments)


def test_a_long_list_of_layers_is_cut_short():
    many = nn.Sequential(*(nn.Linear(1, 1) for _ in range(30)))
    with pytest.raises(ConfigError, match=r'and 22 more$'):
        choose_layers(many, exclude=['nothing'])


def test_layers_that_cannot_be_pruned_keep_their_own_reason():
    reasons = {info.name: info.reason for info in list_layers(network())}
    assert reasons == {**dict.fromkeys(ALL, ''), 'norm': 'normalisation'}
