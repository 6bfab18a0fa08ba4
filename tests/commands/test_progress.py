import pytest

from rggan_mm.commands.progress import followed


@pytest.mark.parametrize(('seconds', 'lines'), [(0, ['2 of 5 words', '3 of 5 words']), (60, [])])
def test_parts_come_through_and_lines_say_how_far_it_is(monkeypatch, capsys, seconds, lines):
    monkeypatch.setattr('rggan_mm.commands.progress.SECONDS', seconds)
    parts = [['a', 'b'], ['c'], ['d', 'e']]
    assert list(followed(parts, 'words', 5, len)) == parts
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()) == ('', lines)
