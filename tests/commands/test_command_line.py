"""What all command lines have in common."""

import warnings

import pytest

from rggan_mm.commands.command_line import run


@pytest.mark.parametrize(
    ('text', 'shown'),
    [('pkg_resources is deprecated as an API. See', []), ('other', ['other'])],
)
def test_a_warning_for_mmengines_developers_is_not_shown(text, shown):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert run(lambda: warnings.warn(text, stacklevel=2)) == 0
    assert [str(warning.message) for warning in caught] == shown
