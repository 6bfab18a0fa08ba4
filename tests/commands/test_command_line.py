"""What all command lines have in common."""

import warnings

import pytest
from rich.table import Table

from rggan_mm.commands.command_line import output_console, run


@pytest.mark.parametrize(
    ('text', 'shown'),
    [('pkg_resources is deprecated as an API. See', []), ('other', ['other'])],
)
def test_a_warning_for_mmengines_developers_is_not_shown(text, shown):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert run(lambda: warnings.warn(text, stacklevel=2)) == 0
    assert [str(warning.message) for warning in caught] == shown


def test_a_table_that_goes_into_a_file_is_not_cut(capsys):
    table = Table(*map(str, range(60)))
    table.add_row(*(f'value{column}' for column in range(60)))
    output_console().print(table)
    printed = capsys.readouterr().out
    assert all(f' value{column} ' in printed for column in range(60))
